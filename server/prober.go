package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/gateway"
	"github.com/mcpctl/mcpctl/server/obo"
)

// A prober looks at whether an upstream can be used. remark is what there is to
// say about one that can, as far as it was looked at; "" where it answered. The
// error is for the operator: it names the cause and, where one is known, the fix.
type prober func(ctx context.Context) (remark string, err error)

// probeOpened asks an upstream who it is.
func probeOpened(open func(context.Context) (wire.Conn, error)) prober {
	return func(ctx context.Context) (string, error) { return "", gateway.Probe(ctx, open) }
}

// probeCredential looks at what stands for callers, of whom there are none yet.
func probeCredential(source obo.Source) prober {
	return func(ctx context.Context) (string, error) {
		if err := tryCredential(ctx, source); err != nil {
			return "", err
		}
		return "it is used on behalf of each caller; the server's own credential for that works", nil
	}
}

func tryCredential(ctx context.Context, source obo.Source) error {
	err := obo.Try(ctx, source)
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.New("the credential for it does not work: " + obo.Diagnose(err))
}

// probeURL looks at an upstream that is reached over HTTP: through transport with
// the credential of source, through base without.
func probeURL(up Upstream, source obo.Source, transport, base http.RoundTripper, log *slog.Logger) prober {
	return func(ctx context.Context) (string, error) {
		if err := tryCredential(ctx, source); err != nil {
			return "", err
		}
		if len(up.OnBehalfOf.Scopes) > 0 {
			found, err := knock(ctx, up.URL, base)
			if err != nil {
				return "", err
			}
			return "it is used on behalf of each caller, so nothing can be asked of it without one; the server's own credential for that works, and " + found, nil
		}
		answers := &watched{next: transport}
		err := gateway.Probe(ctx, gateway.URL{Address: up.URL, HTTP: answers, Logger: log}.Open)
		switch refused := answers.unauthorized.Load(); {
		case err != nil && refused && source == nil && len(up.Headers) == 0:
			err = fmt.Errorf("%w. It wants a credential: give it one with on_behalf_of, client_credentials, managed_identity or header_files", err)
		case err != nil && refused:
			err = fmt.Errorf("%w. It does not take the credential that the server shows: check it, and what it is granted at the upstream", err)
		}
		return "", err
	}
}

// watched notes whether an upstream asks for a credential, or another one.
type watched struct {
	next         http.RoundTripper
	unauthorized atomic.Bool
}

// RoundTrip implements http.RoundTripper.
func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(r)
	if err == nil && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden) {
		w.unauthorized.Store(true)
	}
	return resp, err
}

// knock sends an upstream a request without a token, which it should refuse.
func knock(ctx context.Context, address string, base http.RoundTripper) (found string, err error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(gateway.ProbeRequest))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := (&http.Client{Transport: base, CheckRedirect: wire.NoRedirect}).Do(r)
	if err != nil {
		return "", fmt.Errorf("reaching it: %w", rootCause(err))
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	status := fmt.Sprintf("HTTP %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return "without a token it answers " + status + ", as it should", nil
	case code < 300:
		return "it also answers without a token: is it protected at all?", nil
	case code < 400 || code == http.StatusNotFound || code == http.StatusMethodNotAllowed || code == http.StatusGone:
		return "", fmt.Errorf("reaching it: it answers %s, as no MCP endpoint does. Check the upstream's url", status)
	case code >= 500:
		return "", fmt.Errorf("reaching it: it answers %s", status)
	}
	return "without a token it answers " + status, nil
}
