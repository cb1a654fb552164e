package era

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// inputRounds gathers for one call what the server asks of the client.
type inputRounds struct {
	client  *legacyClient
	rounds  int
	pause   pauses
	visited map[string][]byte // answers to URL elicitations that were accepted, by params
	ids     []string          // of those
}

// refusedInput is an error that the client gets as its answer.
type refusedInput struct {
	code    int
	message string
	data    any
}

func (r *refusedInput) Error() string { return r.message }

// question is one input request and, in the end, its answer.
type question struct {
	key            string
	method         string
	params, answer []byte
	asked          bool
}

// Pauses before a retry that no person has slowed down: the server sheds load,
// or waits for a page that the person has open.
const (
	firstRetryPause   = 250 * time.Millisecond
	longestRetryPause = 30 * time.Second
)

// next asks the client what the result wants and makes the request that
// brings it to the server: the original one under a new id, with the answers and
// the state as it came.
func (i *inputRounds) next(ctx context.Context, base, answer wire.Frame) (wire.Frame, error) {
	if i.rounds++; i.rounds > i.client.t.opts.Limits.Rounds {
		return wire.Frame{}, fmt.Errorf("it still asked after %d rounds", i.rounds-1)
	}
	questions, err := i.questions(wire.Lookup(answer.Raw, "result", "inputRequests"))
	if err != nil {
		return wire.Frame{}, err
	}
	if err := i.askAll(ctx, questions); err != nil {
		return wire.Frame{}, err
	}
	asked := false
	responses := newSplice([]byte("{}"))
	for _, q := range questions {
		asked = asked || q.asked
		responses.set(q.key, q.answer)
	}
	if !asked {
		if err := i.pause.wait(ctx, firstRetryPause, longestRetryPause); err != nil {
			return wire.Frame{}, err
		}
	}
	s := newSplice(base.Raw)
	s.set("id", i.client.t.newID())
	params := s.in("params")
	if params == nil {
		return wire.Frame{}, errors.New("the request had no params to add answers to")
	}
	params.drop("inputResponses")
	params.drop("requestState")
	if len(questions) > 0 {
		params.set("inputResponses", responses.bytes())
	}
	if state := wire.Lookup(answer.Raw, "result", "requestState"); state != nil {
		params.set("requestState", state)
	}
	return s.frame(base), nil
}

// questions reads inputRequests, and answers at once what needs no person.
func (i *inputRounds) questions(raw []byte) ([]*question, error) {
	var list []*question
	for key, request := range fields(raw) {
		q := &question{key: key, method: wire.LookupString(request, "method"), params: wire.Lookup(request, "params")}
		answer, err := i.client.cannot(q)
		if err != nil {
			return nil, err
		}
		q.answer = answer
		if before, ok := i.visited[string(q.params)]; ok && q.answer == nil {
			q.answer = before // asking again would not make the person faster
		}
		list = append(list, q)
		if len(list) > i.client.t.opts.Limits.Asks {
			return nil, errAsksFull
		}
	}
	return list, nil
}

// cannot answers a question that the client has not declared to understand, nil
// for others. Elicitation has an answer for that; the rest fails the call.
func (l *legacyClient) cannot(q *question) ([]byte, error) {
	var needs map[string]any
	switch q.method {
	case "elicitation/create":
		form, url := elicitationModes(l.capabilities)
		if wire.LookupString(q.params, "mode") == "url" && !url || wire.LookupString(q.params, "mode") != "url" && !form {
			return []byte(`{"action":"decline"}`), nil
		}
		return nil, nil
	case "sampling/createMessage":
		needs = map[string]any{"sampling": struct{}{}}
	case "roots/list":
		needs = map[string]any{"roots": struct{}{}}
	default:
		return nil, fmt.Errorf("%.100q is no request that a client knows", q.method)
	}
	for name := range needs {
		if isObject(wire.Lookup(l.capabilities, name)) {
			return nil, nil
		}
		return nil, &refusedInput{codeMissingCapability,
			"The server needs something of the client that it has not declared: " + name, map[string]any{"requiredCapabilities": needs}}
	}
	return nil, nil
}

// elicitationModes reads what a client can elicit; {} means forms (MCP
// 2025-11-25 client/elicitation, Capabilities).
func elicitationModes(capabilities []byte) (form, url bool) {
	e := wire.Lookup(capabilities, "elicitation")
	if !isObject(e) {
		return false, false
	}
	url = isObject(wire.Lookup(e, "url"))
	return !url || isObject(wire.Lookup(e, "form")), url
}

// askAll puts the questions that are open to the client, side by side. The first
// that fails takes the others back.
func (i *inputRounds) askAll(ctx context.Context, questions []*question) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, q := range questions {
		if q.answer != nil {
			continue
		}
		q.asked = true
		params, id := i.prepare(q)
		wg.Go(func() {
			answer, err := i.client.t.askClient(ctx, q.method, params)
			if err == nil {
				q.answer, err = inputResponse(q.method, answer)
			}
			if err != nil {
				cancel(err)
			}
		})
		if id != "" {
			defer func() { i.remember(q, id) }()
		}
	}
	wg.Wait()
	return context.Cause(ctx)
}

// prepare adds what 2025-11-25 wants in a URL elicitation and 2026-07-28 no
// longer has: an id for the page's end.
func (i *inputRounds) prepare(q *question) (params []byte, id string) {
	if q.method != "elicitation/create" || wire.LookupString(q.params, "mode") != "url" {
		return q.params, ""
	}
	s := newSplice(q.params)
	if s.get("elicitationId") != nil {
		return q.params, ""
	}
	token := i.client.t.newID()
	s.set("elicitationId", token)
	return s.bytes(), unquote(token)
}

// remember keeps an accepted URL elicitation for the rounds to come.
func (i *inputRounds) remember(q *question, id string) {
	if wire.LookupString(q.answer, "action") != "accept" {
		return
	}
	if i.visited == nil {
		i.visited = map[string][]byte{}
	}
	i.visited[string(q.params)] = q.answer
	i.ids = append(i.ids, id)
}

// complete tells the client that its pages have served (MCP 2025-11-25
// client/elicitation, Completion Notifications).
func (i *inputRounds) complete(ctx context.Context) error {
	for _, id := range i.ids {
		params := newSplice([]byte("{}"))
		params.set("elicitationId", quote(id))
		if err := i.client.t.opts.Deliver(ctx, noteFrame("notifications/elicitation/complete", params.bytes())); err != nil {
			return err
		}
	}
	return nil
}

// inputResponse makes the client's answer one of inputResponses. They have no
// place for errors: only elicitation can say that nothing came of it.
func inputResponse(method string, answer wire.Frame) ([]byte, error) {
	if !answer.Failed {
		return wire.Lookup(answer.Raw, "result"), nil
	}
	if method == "elicitation/create" {
		return []byte(`{"action":"cancel"}`), nil
	}
	var code int
	if json.Unmarshal(wire.Lookup(answer.Raw, "error", "code"), &code) != nil || code == 0 {
		code = wire.CodeInternal
	}
	return nil, &refusedInput{code, fmt.Sprintf("The client answered the server's %s with an error: %s", method, wire.LookupString(answer.Raw, "error", "message")), nil}
}
