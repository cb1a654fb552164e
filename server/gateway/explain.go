package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/mcpctl/mcpctl/internal/era"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// explain turns a failed exchange with an upstream into an answer for a client,
// which learns nothing of the inside: the log has the reason. Where HTTP can say
// it better there is a refusal too. late means that the upstream had ended
// before the request came.
func explain(id wire.ID, err error, late bool) (*wire.Refusal, wire.Frame) {
	var refusal *wire.Refusal
	var status *wire.StatusError
	switch {
	case errors.As(err, &refusal):
		return refusal, refusal.For(id)
	case late, errors.Is(err, wire.ErrSessionLost) && !errors.Is(err, wire.ErrNoAnswer):
		r := sessionEnded()
		return &r, r.For(id)
	case errors.As(err, &status) && !errors.Is(err, wire.ErrNoAnswer):
		return nil, explainStatus(id, status)
	case errors.Is(err, era.ErrGone):
		return nil, wire.NewError(id, CodeUpstream, "The MCP server behind this gateway stopped before it answered. The work may or may not have been done. The next request starts a new session.", nil)
	case errors.Is(err, wire.ErrNotSent):
		return nil, wire.NewError(id, CodeUpstream, "The MCP server behind this gateway could not be reached, so nothing was done. Try again later.", nil)
	case errors.Is(err, wire.ErrNoAnswer), broken(err):
		return nil, wire.NewError(id, CodeUpstream, "The MCP server behind this gateway stopped before it answered. The work may or may not have been done; check before trying again.", nil)
	case errors.Is(err, wire.ErrBusy):
		return nil, wire.NewError(id, CodeUpstream, "Too many requests of this session wait for their answers. Try again when some have come.", nil)
	}
	return nil, wire.NewError(id, CodeUpstream, "The MCP server behind this gateway did not answer the request. Its operator finds the reason in the gateway's log.", nil)
}

// explainStatus is for an upstream that answered in terms of HTTP. Its own words
// are handed on, save for those about credentials, which are the gateway's.
func explainStatus(id wire.ID, status *wire.StatusError) wire.Frame {
	switch {
	case status.Status == http.StatusUnauthorized, status.Status == http.StatusForbidden:
	case status.Answer.Kind == wire.Response:
		return status.Answer.WithID(id)
	case status.Status == http.StatusTooManyRequests, status.Status == http.StatusServiceUnavailable:
		text := fmt.Sprintf("The MCP server behind this gateway is busy (HTTP %d).", status.Status)
		if after := status.Header.Get("Retry-After"); after != "" {
			text += fmt.Sprintf(" It asks to try again after: %.40s.", after)
		}
		return wire.NewError(id, CodeUpstream, text, nil)
	}
	return wire.NewError(id, CodeUpstream, "The MCP server behind this gateway did not answer the request. Its operator finds the reason in the gateway's log.", nil)
}

// broken reports a connection that broke after it had been made.
func broken(err error) bool {
	return errors.As(err, new(*net.OpError)) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// sessionEnded makes a client open a new session and ask again: nothing was done.
func sessionEnded() wire.Refusal {
	return wire.Refusal{
		Status: http.StatusNotFound,
		Answer: wire.NewUndelivered(nil, CodeUpstream, "The session has ended: the MCP server behind this gateway was restarted. Open a new session."),
	}
}
