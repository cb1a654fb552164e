package bridge

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// A client of MCP 2026-07-28 takes no requests. It is asked in the result of its
// own: that names the page, and the client sends its request again with the
// person's decision (basic/patterns/mrtr; client/elicitation, URL Mode Flow).
const (
	askKey    = "mcpctl_sign_in" // in inputRequests
	stateMark = "mcpctl-signin." // in front of our requestState
	// maxRounds bounds how often one request asks: common clients give up after
	// ten rounds, without saying what to do.
	maxRounds = 8
	// roundWait is how long a request waits before it asks again.
	roundWait = toolWait
	// burst is how long after one request has shown a page others that come with
	// it wait instead of showing it too.
	burst = 2 * time.Second
)

// A round is what our requestState holds: all that is needed to go on, so that
// another bridge can, should the client have started a new one. It needs no
// protection: the client could send by itself whatever it can change in it.
type round struct {
	// Server is the address of the MCP server. Bridges in a row tell their states
	// apart by it.
	Server string `json:"server"`
	Flow   string `json:"flow"`
	Shown  int    `json:"shown"` // the number of the prompt
	Count  int    `json:"count"` // of the times that the request has asked
	// State and Inputs are what the request had for the server itself.
	State  json.RawMessage `json:"state,omitempty"`
	Inputs json.RawMessage `json:"inputs,omitempty"`

	action string // the person's decision; "" where the client brings none
}

// roundKey is the key of a request's round in its context.
type roundKey struct{}

// roundOf returns the round with which the request has come back, the zero one
// if it is new.
func roundOf(ctx context.Context) round {
	r, _ := ctx.Value(roundKey{}).(round)
	return r
}

var errState = errors.New("requestState is not as it was given; send the request again without it")

// mayAsk reports the methods whose results may ask for something
// (basic/patterns/mrtr, Supported Requests).
func mayAsk(method string) bool {
	switch method {
	case "tools/call", "prompts/get", "resources/read":
		return true
	}
	return false
}

// returned takes a round that is ours from a request and gives the request back
// as it was before. The round is zero where there is none.
func (s *signIn) returned(f wire.Frame) (round, wire.Frame, error) {
	if s.tokens == nil || f.Kind != wire.Request || !mayAsk(f.Method) || !bytes.Contains(f.Raw, []byte(stateMark)) {
		return round{}, f, nil
	}
	text, ours := strings.CutPrefix(wire.LookupString(f.Raw, "params", "requestState"), stateMark)
	if !ours {
		return round{}, f, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return round{}, f, errState
	}
	var r round
	switch err := json.Unmarshal(raw, &r); {
	case err != nil, r.Flow == "", r.Count < 0, len(r.State) > 0 && r.State[0] != '"', len(r.Inputs) > 0 && r.Inputs[0] != '{':
		return round{}, f, errState
	case r.Server != s.url:
		return round{}, f, nil
	}
	r.action = wire.LookupString(f.Raw, "params", "inputResponses", askKey, "action")
	f.Raw = setParam(f.Raw, "inputResponses", r.Inputs)
	f.Raw = setParam(f.Raw, "requestState", r.State)
	return r, f, nil
}

// setParam returns a request with another value for a member of its params,
// without that member where value is empty. All else keeps its bytes. params must
// have a member already.
func setParam(raw []byte, name string, value []byte) []byte {
	start, end, ok := wire.Find(raw, "params", name)
	switch {
	case ok && len(value) > 0:
		return slices.Concat(raw[:start], value, raw[end:])
	case len(value) > 0:
		params, _, _ := wire.Find(raw, "params")
		return slices.Concat(raw[:params+1], []byte(`"`+name+`":`), value, []byte(","), raw[params+1:])
	}
	for ok { // members can be repeated
		raw = cutMember(raw, start, end)
		start, end, ok = wire.Find(raw, "params", name)
	}
	return raw
}

// cutMember takes out the member whose value stands at raw[start:end], with one
// comma. Its name has no quote in it.
func cutMember(raw []byte, start, end int) []byte {
	nameEnd := bytes.LastIndexByte(raw[:start], '"')
	before := bytes.TrimRight(raw[:bytes.LastIndexByte(raw[:nameEnd], '"')], " \t\r\n")
	after := bytes.TrimLeft(raw[end:], " \t\r\n")
	if rest, ok := bytes.CutSuffix(before, []byte(",")); ok {
		before = rest
	} else {
		after = bytes.TrimPrefix(after, []byte(","))
	}
	return slices.Concat(before, after)
}

// pendingFlow returns the sign-in of that name while it is under way.
func (s *signIn) pendingFlow(id string) *flow {
	if fl := s.pending(); fl != nil && fl.id == id {
		return fl
	}
	return nil
}

// decide takes the person's decision that a request has brought. The error says
// that the sign-in was declined.
func (s *signIn) decide(r round) error {
	switch r.action {
	case "":
		return nil
	case "accept":
		if fl := s.pendingFlow(r.Flow); fl != nil {
			fl.agreed()
		}
		return nil
	}
	return &signInError{s.declined(s.pendingFlow(r.Flow))}
}

// failure returns how the sign-in that a request has waited for failed, nil where
// it did not.
func (s *signIn) failure(r round) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flow == nil || s.flow.id != r.Flow || s.pendingLocked() != nil {
		return nil
	}
	return s.flow.err
}

// askBack has the person sign in through the results of a request, and goes on
// with it when that is done. reason is why.
func (s *signIn) askBack(ctx context.Context, f wire.Frame, reason error, then func(context.Context, wire.Frame) error) error {
	r := roundOf(ctx)
	if err := s.failure(r); err != nil {
		return &signInError{err}
	}
	fl, err := s.begins(ctx)
	if err != nil {
		return &signInError{err}
	}
	if r.Flow != fl.id || r.action == "" {
		r.Shown = 0 // nothing has been shown, or it was not answered
	}
	r.Flow = fl.id
	late := time.NewTimer(roundWait)
	defer late.Stop()
	tick := s.ticker(f)
	defer tick.stop()
	for {
		s.mu.Lock()
		p, number, changed := fl.prompt, fl.number, fl.changed
		page := p.Code != ""
		show := page && number > r.Shown
		switch {
		case show && fl.carried == number && time.Since(fl.carriedAt) < burst:
			r.Shown, show = number, false // another request shows it
		case show:
			fl.carried, fl.carriedAt = number, time.Now()
		}
		s.mu.Unlock()
		select {
		case <-fl.done:
			if err := s.outcome(fl); err != nil {
				return &signInError{err}
			}
			return then(ctx, f)
		default:
		}
		switch {
		case show:
			return s.askWith(ctx, f, p, number, r)
		case number > 0 && !page && r.Shown == 0:
			fl.agreed() // no page to ask with: the request itself has to do
		}
		select {
		case <-changed:
		case <-fl.done:
		case <-tick.c:
			tick.tell(ctx, "Waiting for the sign-in")
		case <-late.C:
			if page && r.Count < maxRounds {
				return s.askWith(ctx, f, p, number, r)
			}
			return &signInError{s.unfinished(reason, p, number > 0)}
		case <-s.gone:
			return wire.ErrStopping
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// unfinished words that a sign-in goes on while a request can't wait any longer.
func (s *signIn) unfinished(reason error, p Prompt, shown bool) error {
	if !shown {
		return fmt.Errorf("%w. The sign-in page did not answer: try again", reason)
	}
	return fmt.Errorf("%w. %s Then repeat this request", reason, p.say())
}

// askWith answers a request with the page to open.
func (s *signIn) askWith(ctx context.Context, f wire.Frame, p Prompt, number int, r round) error {
	r.Server, r.Shown = s.url, number
	if r.Count == 0 {
		r.State = json.RawMessage(wire.Lookup(f.Raw, "params", "requestState"))
		r.Inputs = json.RawMessage(wire.Lookup(f.Raw, "params", "inputResponses"))
	}
	r.Count++
	var state bytes.Buffer
	enc := json.NewEncoder(&state)
	enc.SetEscapeHTML(false) // what is the server's keeps its bytes
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("keeping what the request was for: %w", err)
	}
	return s.toPeer(ctx, wire.NewResult(f.ID, map[string]any{
		"resultType":   "input_required",
		"requestState": stateMark + base64.RawURLEncoding.EncodeToString(state.Bytes()),
		"inputRequests": map[string]any{askKey: map[string]any{
			"method": "elicitation/create",
			"params": map[string]any{"mode": "url", "url": p.URL, "message": p.ask(s.host())},
		}},
	}))
}
