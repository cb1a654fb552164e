package gateway

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// upstreamStub answers each request with what the test says.
type upstreamStub struct {
	deliver wire.Deliver
	answer  string // of the request with id 1; "" is none
	err     error
}

func (u *upstreamStub) Exchange(ctx context.Context, f wire.Frame) error {
	if u.answer != "" && f.Kind == wire.Request {
		if err := u.deliver(ctx, wire.MustParse(u.answer)); err != nil {
			return err
		}
	}
	return u.err
}
func (*upstreamStub) Listen(context.Context) error { return wire.ErrNoListen }
func (*upstreamStub) End(context.Context) error    { return nil }

func TestMissingCredentialsAreExplained(t *testing.T) {
	failed := errors.New("no token")
	challenge := &NoCredential{Status: 401, Header: http.Header{"Www-Authenticate": {"Bearer"}}, Text: "Sign in again."}
	words := &NoCredential{Status: 403, Text: "Ask for consent."}
	const ok = `{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`
	for name, tt := range map[string]struct {
		method, answer string
		err            error
		lack           *NoCredential // where the exchange fails
		noted          *NoCredential // where it is answered
		status         int
		want           string // what is delivered
	}{
		"nothing lacking":             {method: "tools/call", answer: ok, want: ok},
		"another error":               {method: "tools/call", err: failed},
		"challenge":                   {method: "tools/call", err: failed, lack: challenge, status: 401},
		"words for a tool":            {method: "tools/call", err: failed, lack: words, want: `{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"Ask for consent.","type":"text"}],"isError":true}}`},
		"words for a list":            {method: "tools/list", err: failed, lack: words, want: `{"jsonrpc":"2.0","id":1,"error":{"code":-31013,"message":"Ask for consent."}}`},
		"answered, with a challenge":  {method: "tools/call", answer: ok, noted: challenge, status: 401},
		"answered, with its own text": {method: "tools/call", answer: ok, noted: words, want: ok},
	} {
		t.Run(name, func(t *testing.T) {
			var got string
			c, err := newCredentials(CredentialOptions{Lacking: func(_ context.Context, err error) *NoCredential {
				if err != nil {
					return tt.lack
				}
				return tt.noted
			}}, func(_ context.Context, f wire.Frame) error {
				got += string(f.Raw)
				return nil
			}, func(deliver wire.Deliver) (wire.Remote, error) {
				return &upstreamStub{deliver, tt.answer, tt.err}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			err = c.Exchange(t.Context(), wire.MustParse(`{"jsonrpc":"2.0","id":1,"method":"`+tt.method+`"}`))
			var refusal *wire.Refusal
			switch {
			case tt.status != 0:
				if !errors.As(err, &refusal) || refusal.Status != tt.status || refusal.Header.Get("WWW-Authenticate") == "" {
					t.Errorf("got %v", err)
				}
			case tt.lack == nil && tt.err != nil:
				if !errors.Is(err, failed) {
					t.Errorf("got %v", err)
				}
			case err != nil:
				t.Errorf("got %v", err)
			}
			if got != tt.want {
				t.Errorf("delivered %s, want %s", got, tt.want)
			}
			if len(c.open) != 0 {
				t.Error("a request is still open")
			}
		})
	}
}
