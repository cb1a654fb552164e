package auth

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// inbound is what the guard keeps of a request for those who work on it: its
// token, where somebody has to exchange it, and the refusal that the work may
// end with. It lives as long as the contexts made from the request's, which
// may outlive the request: a tool goes on after an HTTP+SSE message has been
// accepted.
type inbound struct {
	token   assertion
	expires time.Time

	mu      sync.Mutex
	refusal *Refusal
}

type inboundKey struct{}

func withInbound(ctx context.Context, in *inbound) context.Context {
	return context.WithValue(ctx, inboundKey{}, in)
}

func inboundFrom(ctx context.Context) *inbound {
	in, _ := ctx.Value(inboundKey{}).(*inbound)
	return in
}

// WithAssertion returns a context that carries a caller and the token that
// proved them, as [Guard] makes it. It is for requests that another replica's
// guard has let in, and for tests of what stands behind.
func WithAssertion(ctx context.Context, p *Principal, token string) context.Context {
	in := &inbound{token: newAssertion(token), expires: p.ExpiresAt}
	return withInbound(NewContext(ctx, p), in)
}

// Assertion returns the token that the caller of a request came with, for the
// one use it may have behind the guard: the On-Behalf-Of exchange at the
// authority that issued it. It is empty unless [GuardOptions.KeepAssertion] is
// set. It must go nowhere else, not into a log, and not to an upstream.
//
// expires is when the authority stops taking it.
func Assertion(ctx context.Context) (token string, expires time.Time) {
	in := inboundFrom(ctx)
	if in == nil {
		return "", time.Time{}
	}
	return in.token.value(), in.expires
}

// Refuse notes that a request can't be done for a reason that its HTTP answer
// has to state, a claims challenge for instance. It is for those who have no
// other way to say so; [Refused] finds it.
func Refuse(ctx context.Context, r *Refusal) {
	if in := inboundFrom(ctx); in != nil {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.refusal = r
	}
}

// Refused returns the refusal noted last for the request that ctx belongs to.
func Refused(ctx context.Context) *Refusal {
	in := inboundFrom(ctx)
	if in == nil {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.refusal
}

// Inherit returns ctx with the caller, the assertion and the place for a
// refusal that from carries. It is for requests that belong to a caller's
// session but to none of their requests.
func Inherit(ctx, from context.Context) context.Context {
	if p, ok := FromContext(from); ok {
		ctx = NewContext(ctx, p)
	}
	if in := inboundFrom(from); in != nil {
		ctx = withInbound(ctx, in)
	}
	return ctx
}

const redacted = "[redacted]"

// assertion is a token that nothing prints. It is a function because printers
// that go by reflection pass over the methods of unexported fields.
type assertion struct{ reveal func() string }

func newAssertion(token string) assertion {
	return assertion{func() string { return token }}
}

func (a assertion) value() string {
	if a.reveal == nil {
		return ""
	}
	return a.reveal()
}

// String implements [fmt.Stringer].
func (assertion) String() string { return redacted }

// Format implements [fmt.Formatter], so that no verb reaches the token.
func (assertion) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText implements [encoding.TextMarshaler].
func (assertion) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements [slog.LogValuer].
func (assertion) LogValue() slog.Value { return slog.StringValue(redacted) }
