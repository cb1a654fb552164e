package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// probeTimeout bounds a probe whose context has no deadline. Package runners
// download on their first start.
const probeTimeout = time.Minute

// ProbeRequest is the first request of a probe, of the initialize era.
const ProbeRequest = `{"jsonrpc":"2.0","id":"probe-1","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"mcpctl","version":"probe"}}}`

// probeDiscover is what servers of 2026-07-28 know instead.
const probeDiscover = `{"jsonrpc":"2.0","id":"probe-2","method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"mcpctl","version":"probe"},"io.modelcontextprotocol/clientCapabilities":{}}}}`

// Probe opens an upstream, asks it who it is and closes it again. The error
// says why it can't be used, with the last lines of its standard error where it
// is a command: that is for the operator, not for those who call.
func Probe(ctx context.Context, open func(context.Context) (wire.Conn, error)) (err error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, probeTimeout)
		defer cancel()
	}
	began := time.Now()
	conn, err := open(ctx)
	if err != nil {
		return fmt.Errorf("probing the upstream: %w", err)
	}
	defer func() {
		closing := conn.Close()
		if err == nil && closing != nil {
			err = fmt.Errorf("probing the upstream: closing it: %w", closing)
		}
	}()
	var refusals []string
	for _, request := range []string{ProbeRequest, probeDiscover} {
		refusal, err := probe(ctx, conn, wire.MustParse(request))
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("probing the upstream: it did not answer within %s%s", time.Since(began).Round(time.Second), saidLast(conn))
		case err != nil:
			return fmt.Errorf("probing the upstream: %w", err)
		case refusal == "":
			return nil
		}
		refusals = append(refusals, refusal)
	}
	return fmt.Errorf("probing the upstream: it refuses initialize (%s) and server/discover (%s)%s", refusals[0], refusals[1], saidLast(conn))
}

// probe sends a request and returns why it is refused, "" where it is not.
func probe(ctx context.Context, conn wire.Conn, request wire.Frame) (refusal string, err error) {
	if err := conn.Write(ctx, request); err != nil && ctx.Err() != nil {
		return "", err
	}
	// Where writing failed, reading tells why.
	for {
		f, err := conn.Read(ctx)
		var bad *wire.FrameError
		if errors.As(err, &bad) {
			continue // programs print all sorts of things when they start
		}
		if err != nil {
			return "", err
		}
		mine := f.Kind == wire.Response && (f.ID.Key() == request.ID.Key() || f.ID.Null())
		switch {
		case mine && f.Failed:
			refusal = fmt.Sprintf("%.200s", wire.LookupString(f.Raw, "error", "message"))
			if refusal == "" {
				refusal = "with an error that has no message"
			}
		case f.Method == "ping" && f.Kind == wire.Request:
			err = conn.Write(ctx, wire.NewResult(f.ID, struct{}{}))
		}
		f.Release()
		if mine || err != nil {
			return refusal, err
		}
	}
}

func saidLast(conn wire.Conn) string {
	speaker, ok := conn.(interface{ LastWords() []string })
	if !ok {
		return ""
	}
	words := speaker.LastWords()
	if len(words) == 0 {
		return ", and has written nothing on standard error"
	}
	return "; its last words: " + strings.Join(words, " | ")
}
