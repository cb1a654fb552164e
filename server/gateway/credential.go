package gateway

import (
	"context"
	"net/http"
	"sync"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// CodeCredential is the error code for requests that the gateway has no
// credential for. It lies outside the ranges that JSON-RPC 2.0 §5.1 and MCP reserve.
const CodeCredential = -31013

// NoCredential is what to tell the caller of a request that an upstream wants a
// credential for which can't be had.
type NoCredential struct {
	// Status and Header are for the HTTP answer. They are used only where the
	// header says what a client can do: sign in again, or come back later. Words
	// reach the person only in the message.
	Status int
	Header http.Header
	Text   string
}

// CredentialOptions configure the step that explains missing credentials.
type CredentialOptions struct {
	// Lacking returns what to tell the caller of the request that ctx came with,
	// which ended with err, or with an answer where err is nil; nil if no
	// credential was lacking. Required.
	Lacking func(ctx context.Context, err error) *NoCredential
}

// credentials tells callers what they have to do for an upstream that is used
// on their behalf. It implements wire.Remote and belongs right before the
// upstream.
type credentials struct {
	opts    CredentialOptions
	deliver wire.Deliver
	next    wire.Remote

	mu   sync.Mutex
	open map[string]*credentialCall // by id key
}

// credentialCall is a request under way.
type credentialCall struct {
	ctx  context.Context // the request's
	lack *NoCredential   // replaces the answer
}

func newCredentials(opts CredentialOptions, deliver wire.Deliver, dial Dialer) (*credentials, error) {
	c := &credentials{opts: opts, deliver: deliver, open: map[string]*credentialCall{}}
	var err error
	c.next, err = dial(c.fromNext)
	return c, err
}

// Listen implements wire.Remote.
func (c *credentials) Listen(ctx context.Context) error { return c.next.Listen(ctx) }

// End implements wire.Remote.
func (c *credentials) End(ctx context.Context) error { return c.next.End(ctx) }

// Exchange implements wire.Remote.
func (c *credentials) Exchange(ctx context.Context, f wire.Frame) error {
	if f.Kind != wire.Request {
		return c.next.Exchange(ctx, f)
	}
	call, key := &credentialCall{ctx: ctx}, f.ID.Key()
	c.mu.Lock()
	c.open[key] = call
	c.mu.Unlock()
	err := c.next.Exchange(ctx, f)
	c.mu.Lock()
	if c.open[key] == call {
		delete(c.open, key)
	}
	lack := call.lack
	c.mu.Unlock()
	if lack == nil && err != nil {
		lack = c.opts.Lacking(ctx, err)
	}
	if lack == nil {
		return err
	}
	return c.refuse(ctx, f, lack)
}

// fromNext holds back an answer that a refusal takes the place of: built-in
// tools can only answer in words, and a client needs a challenge.
func (c *credentials) fromNext(ctx context.Context, f wire.Frame) error {
	if f.Kind == wire.Response {
		c.mu.Lock()
		call := c.open[f.ID.Key()]
		c.mu.Unlock()
		if call != nil {
			if lack := c.opts.Lacking(call.ctx, nil); lack != nil && len(lack.Header) > 0 {
				c.mu.Lock()
				call.lack = lack
				c.mu.Unlock()
				return nil
			}
		}
	}
	return c.deliver(ctx, f)
}

func (c *credentials) refuse(ctx context.Context, f wire.Frame, lack *NoCredential) error {
	switch {
	case len(lack.Header) > 0:
		return &wire.Refusal{Status: lack.Status, Header: lack.Header, Answer: wire.NewError(f.ID, CodeCredential, lack.Text, nil)}
	case f.Method == "tools/call":
		return c.deliver(ctx, wire.NewResult(f.ID, map[string]any{
			"content": []any{map[string]any{"type": "text", "text": lack.Text}},
			"isError": true,
		}))
	}
	return c.deliver(ctx, wire.NewError(f.ID, CodeCredential, lack.Text, nil))
}
