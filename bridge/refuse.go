package bridge

import (
	"context"
	"errors"
	"io"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Refuse stands in for [Run] where the bridge can't begin: it answers each
// request of the client with reason, since MCP clients show their users nothing
// of what is written elsewhere. It returns reason when the client closes its end,
// and what went wrong before that otherwise. It closes the client's connection.
func Refuse(ctx context.Context, client wire.Conn, reason error) error {
	defer func() { _ = client.Close() }() // reason says more
	for {
		f, err := client.Read(ctx)
		var bad *wire.FrameError
		switch {
		case errors.As(err, &bad) && bad.Request:
			err = client.Write(ctx, bad.Answer())
		case errors.As(err, &bad):
			err = nil
		case errors.Is(err, io.EOF):
			return reason
		case err == nil && f.Kind == wire.Request:
			err = client.Write(ctx, wire.NewError(f.ID, wire.CodeInternal, reason.Error(), nil))
			f.Release()
		case err == nil:
			f.Release()
		}
		if err != nil {
			return errors.Join(reason, err)
		}
	}
}
