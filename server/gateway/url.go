package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/mcpctl/mcpctl/internal/recovery"
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
	// Patience bounds how long a message is tried again that did not reach the
	// upstream, was turned away for the time being, or needs a new session there.
	// Default 10 s; see [recovery.Options]. An error of HTTP with a method
	// Lasting() bool that says so is not tried to be cured.
	Patience time.Duration
	// MaxMessage is the size cap of one message in bytes; 0 is the default.
	MaxMessage int
	Logger     *slog.Logger
}

const (
	// urlPatience leaves clients, which wait for 30 s or 60, time to read what
	// went wrong, and is as long as the parts of one list are waited for.
	urlPatience = 10 * time.Second
	// urlFirstPatience is for opening a session: where several upstreams are
	// served as one, the others should not wait long for one that is down.
	urlFirstPatience = time.Second
	// urlMemory bounds what is remembered of one session's subscriptions.
	urlMemory = 256 << 10
)

// Open implements [Upstream]. The connection recovers from nothing: what it
// meets is to be seen.
func (u URL) Open(context.Context) (wire.Conn, error) {
	return wire.NewClientConn(wire.ClientConnOptions{Logger: u.Logger}, func(deliver wire.Deliver) (wire.Remote, error) {
		return u.dial(deliver, nil)
	})
}

// Dial implements [RemoteUpstream]. Nothing is sent before the first message.
// The connection outlives the upstream's restarts; what it remembers for that is
// the one client's it was made for.
func (u URL) Dial(deliver wire.Deliver, annotate func(wire.Frame, http.Header)) (wire.Remote, error) {
	patience := u.Patience
	if patience <= 0 {
		patience = urlPatience
	}
	return recovery.New(recovery.Options{
		Deliver: deliver, Patience: patience, FirstPatience: urlFirstPatience, Memory: urlMemory, Logger: u.Logger,
	}, func(deliver wire.Deliver) (wire.Remote, error) { return u.dial(deliver, annotate) })
}

func (u URL) dial(deliver wire.Deliver, annotate func(wire.Frame, http.Header)) (wire.Remote, error) {
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
