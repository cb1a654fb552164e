package gateway

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// URL is an upstream reached over Streamable HTTP. The caller's own token never
// goes there; Header holds the gateway's credential where one is needed.
type URL struct {
	Address string
	Header  http.Header
	// HTTP carries the requests of all sessions. Required. If it has a method
	// Session() http.RoundTripper, each connection gets one of its own.
	HTTP http.RoundTripper
	// MaxMessage is the size cap of one message in bytes; 0 is the default.
	MaxMessage int
	Logger     *slog.Logger
}

// Open implements [Upstream].
func (u URL) Open(context.Context) (wire.Conn, error) {
	return wire.NewClientConn(wire.ClientConnOptions{Logger: u.Logger}, func(deliver wire.Deliver) (wire.Remote, error) {
		return u.Dial(deliver, nil)
	})
}

// Dial implements [RemoteUpstream]. Nothing is sent before the first message.
func (u URL) Dial(deliver wire.Deliver, annotate func(wire.Frame, http.Header)) (wire.Remote, error) {
	return wire.NewStreamableClient(wire.ClientOptions{
		URL:        u.Address,
		HTTP:       &http.Client{Transport: u.transport(), CheckRedirect: wire.NoRedirect},
		Header:     u.Header,
		Annotate:   annotate,
		Deliver:    deliver,
		MaxMessage: u.MaxMessage,
		Logger:     u.Logger,
	})
}

// transport is for one connection: what it sends for itself, to listen or to
// end, goes with the credential of whoever the connection is for.
func (u URL) transport() http.RoundTripper {
	if t, ok := u.HTTP.(interface{ Session() http.RoundTripper }); ok {
		return t.Session()
	}
	return u.HTTP
}
