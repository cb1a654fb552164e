package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// The tool that a client without URL elicitation signs in with:
//
//  1. The first call starts the sign-in, or joins one under way in this or
//     another process, and returns at once what to pass on to the person.
//  2. A further call waits up to toolWait, with progress where it was asked for,
//     and returns how it ended, a new code, or that it is still pending.
//  3. After a failure was reported the next call starts anew.
const toolName = "sign_in"

const (
	toolWait      = 45 * time.Second // below the 60 s of common clients
	progressPause = 5 * time.Second
)

func isToolCall(f wire.Frame) bool {
	return f.Method == "tools/call" && wire.LookupString(f.Raw, "params", "name") == toolName
}

func (s *signIn) tool() map[string]any {
	how := "The first call returns a web address and a code: give both to the user, who opens the address on any device and enters the code. " +
		"Then call this tool again: it waits for the user and tells whether the sign-in worked."
	if !s.able() {
		how = "It returns a command for the user to run in a terminal."
	}
	return map[string]any{
		"name":        toolName,
		"title":       "Sign in to " + s.host(),
		"description": fmt.Sprintf("Signs the user in to the MCP server at %s with Microsoft Entra ID. Nobody is signed in, so this is the only tool for now. %s The server's own tools appear afterwards.", s.url, how),
		"inputSchema": map[string]any{"type": "object", "properties": map[string]any{}, "additionalProperties": false},
		"annotations": map[string]any{"readOnlyHint": false, "destructiveHint": false, "idempotentHint": true, "openWorldHint": true},
	}
}

// callTool runs the tool.
func (s *signIn) callTool(ctx context.Context, f wire.Frame) error {
	ctx, release := s.holdFor(ctx, f.ID)
	defer release()
	s.offered.Store(true)
	reason, err := s.verdict(ctx)
	switch {
	case err != nil:
		return err
	case reason == nil:
		return s.toolResult(ctx, f, toolAnswer{Status: "signed_in"}, "You are signed in to "+s.url+". Its tools are available: list the tools again if you don't see them.")
	case !needsPerson(reason):
		return s.toolResult(ctx, f, toolAnswer{Status: "failed"}, s.unusable(reason))
	}
	s.mu.Lock()
	last := s.flow
	s.mu.Unlock()
	if last != nil && s.unreported(last) {
		return s.reportEnd(ctx, f, last)
	}
	if !s.able() {
		return s.toolResult(ctx, f, toolAnswer{Status: "failed", Command: "mcpctl login " + s.url},
			reason.Error()+"\n\nTell the user. As soon as that is done this server's tools appear by themselves.")
	}
	asks := s.canAsk(f)
	if asks && s.modern(f) {
		if err := s.askBack(ctx, f, reason, s.callTool); err != nil {
			return s.failed(ctx, f, err)
		}
		return nil
	}
	fl, err := s.begins(ctx)
	if err != nil {
		return s.toolFailed(ctx, f, err)
	}
	fl.agreed()
	if asks {
		s.showIn(fl)
	}
	return s.follow(ctx, f, fl)
}

// failed tells of a sign-in that came to nothing: as the tool's result, else as
// the request's error.
func (s *signIn) failed(ctx context.Context, f wire.Frame, err error) error {
	var failure *signInError
	if isToolCall(f) && s.offered.Load() && errors.As(err, &failure) {
		return s.toolFailed(ctx, f, failure.err)
	}
	return err
}

// follow returns the prompt where the model does not know it yet, else waits for
// what comes next.
func (s *signIn) follow(ctx context.Context, f wire.Frame, fl *flow) error {
	s.ready(ctx, fl)
	late := time.NewTimer(toolWait)
	defer late.Stop()
	tick := s.ticker(f)
	defer tick.stop()
	for {
		s.mu.Lock()
		p, has := fl.prompt, fl.number > 0
		shown := fl.asking && s.client.elicits && p.Code != "" // by the client itself
		news := has && fl.told != p.key() && !shown
		if news {
			fl.told = p.key()
		}
		changed := fl.changed
		s.mu.Unlock()
		select {
		case <-fl.done: // comes first: a code is no news then
			return s.reportEnd(ctx, f, fl)
		default:
		}
		if news {
			return s.toolPending(ctx, f, p, "Give this to the user, then call "+toolName+" again to wait for the outcome. In a terminal, this does the same: mcpctl login "+s.url)
		}
		select {
		case <-fl.done:
		case <-changed:
		case <-tick.c:
			tick.tell(ctx, "Waiting for the user to sign in")
		case <-late.C:
			if !has {
				return s.toolFailed(ctx, f, errors.New("the sign-in page did not answer in time. Call "+toolName+" again"))
			}
			return s.toolPending(ctx, f, p, "The user has not finished yet. Call "+toolName+" again to go on waiting.")
		case <-s.gone:
			return wire.ErrStopping
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p Prompt) key() string { return p.URL + "\n" + p.Code + "\n" + p.Note }

// unreported reports a sign-in that has failed since the model was told of it.
func (s *signIn) unreported(fl *flow) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pendingLocked() == nil && fl.err != nil && fl.told != "" && !fl.reported
}

// reportEnd reports how a sign-in ended.
func (s *signIn) reportEnd(ctx context.Context, f wire.Frame, fl *flow) error {
	s.mu.Lock()
	fl.reported = true
	err := fl.err
	s.mu.Unlock()
	if err != nil {
		return s.toolFailed(ctx, f, err)
	}
	return s.toolResult(ctx, f, toolAnswer{Status: "signed_in"}, "The user has signed in to "+s.url+". The server's own tools are available now: list the tools again.")
}

// toolAnswer is the tool's structuredContent. Its field names are stable.
type toolAnswer struct {
	Status          string     `json:"status"` // pending, signed_in or failed
	VerificationURL string     `json:"verification_url,omitempty"`
	UserCode        string     `json:"user_code,omitempty"`
	ExpiresAt       *time.Time `json:"expires_at,omitempty"`
	ExpiresIn       int        `json:"expires_in_seconds,omitempty"`
	Command         string     `json:"command,omitempty"` // does the same in a terminal
}

func (s *signIn) toolPending(ctx context.Context, f wire.Frame, p Prompt, then string) error {
	a := toolAnswer{Status: "pending", VerificationURL: p.URL, UserCode: p.Code, Command: "mcpctl login " + s.url}
	if left := time.Until(p.ExpiresOn); left > 0 {
		at := p.ExpiresOn.UTC().Truncate(time.Second)
		a.ExpiresAt, a.ExpiresIn = &at, int(left.Seconds())
	}
	return s.toolResult(ctx, f, a, fmt.Sprintf("To sign in to %s: %s\n\n%s", s.url, p.say(), then))
}

func (s *signIn) toolFailed(ctx context.Context, f wire.Frame, err error) error {
	text := "Nobody is signed in to " + s.url + ", and the sign-in did not work: " + err.Error()
	return s.toolResult(ctx, f, toolAnswer{Status: "failed", Command: "mcpctl login " + s.url}, text)
}

func (s *signIn) toolResult(ctx context.Context, f wire.Frame, a toolAnswer, text string) error {
	result := map[string]any{"content": []any{map[string]any{"type": "text", "text": text}}, "structuredContent": a}
	if a.Status == "failed" {
		result["isError"] = true
	}
	if s.modern(f) {
		result["resultType"] = "complete"
	}
	return s.toPeer(ctx, wire.NewResult(f.ID, result))
}

// ticker sends progress on a request that asked for it (MCP
// basic/utilities/progress).
type ticker struct {
	c     <-chan time.Time
	stop  func()
	token json.RawMessage
	peer  wire.Deliver
	count int
}

func (s *signIn) ticker(f wire.Frame) *ticker {
	t := time.NewTicker(progressPause)
	return &ticker{c: t.C, stop: t.Stop, peer: s.toPeer, token: json.RawMessage(string(wire.Lookup(f.Raw, "params", "_meta", "progressToken")))}
}

// tell reports progress in steps so small that what the server counts later is
// beyond them: progress must only grow.
func (t *ticker) tell(ctx context.Context, text string) {
	if len(t.token) == 0 {
		return
	}
	t.count++
	_ = t.peer(ctx, notification("notifications/progress", map[string]any{
		"progressToken": t.token, "progress": float64(t.count) / 10000, "message": text,
	}))
}
