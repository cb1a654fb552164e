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
	// HTTP carries the requests of all sessions. Required.
	HTTP http.RoundTripper
	// MaxMessage is the size cap of one message in bytes; 0 is the default.
	MaxMessage int
	Logger     *slog.Logger
}

// Open implements [Upstream]. Nothing is sent before the first message.
func (u URL) Open(context.Context) (wire.Conn, error) {
	if u.Logger == nil {
		u.Logger = slog.New(slog.DiscardHandler)
	}
	explain := func(id wire.ID, err error) wire.Frame {
		u.Logger.Error("the upstream did not answer", "reason", err)
		return wire.NewError(id, CodeUpstream, "The MCP server behind this gateway did not answer the request. Its operator finds the reason in the gateway's log.", nil)
	}
	return wire.NewClientConn(wire.ClientConnOptions{Explain: explain, Logger: u.Logger}, func(deliver wire.Deliver) (wire.Remote, error) {
		return wire.NewStreamableClient(wire.ClientOptions{
			URL:        u.Address,
			HTTP:       &http.Client{Transport: u.HTTP, CheckRedirect: wire.NoRedirect},
			Header:     u.Header,
			Deliver:    deliver,
			MaxMessage: u.MaxMessage,
			Logger:     u.Logger,
		})
	})
}
