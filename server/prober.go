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

// A prober looks at whether an upstream can be used. found is what there is to
// say about one that can, as far as it was looked at. The error is for the
// operator: it names the cause and, where one is known, the fix.
type prober func(ctx context.Context) (found found, err error)

// found is what was seen of an upstream that works.
type found struct {
	remark string // "" where it answered
	doubt  string // what to look at though it works; "" for nothing
}

// probeOpened asks an upstream who it is.
func probeOpened(open func(context.Context) (wire.Conn, error)) prober {
	return func(ctx context.Context) (found, error) { return found{}, gateway.Probe(ctx, open) }
}

// probeCredential looks at what stands for callers, of whom there are none yet.
func probeCredential(source obo.Source) prober {
	return func(ctx context.Context) (found, error) {
		if err := tryCredential(ctx, source); err != nil {
			return found{}, err
		}
		return found{remark: "it is used on behalf of each caller; the server's own credential for that works"}, nil
	}
}

func tryCredential(ctx context.Context, source obo.Source) error {
	err := obo.Try(ctx, source)
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	cause, fix := obo.Diagnose(err)
	return withFix(errors.New("the credential for it does not work: "+cause), fix)
}

// probeURL looks at an upstream that is reached over HTTP: through transport with
// the credential of source, through base without.
func probeURL(up Upstream, source obo.Source, transport, base http.RoundTripper, log *slog.Logger) prober {
	return func(ctx context.Context) (found, error) {
		if err := tryCredential(ctx, source); err != nil {
			return found{}, err
		}
		if len(up.OnBehalfOf.Scopes) > 0 {
			seen, err := knock(ctx, up.URL, base)
			seen.remark = "it is used on behalf of each caller, so nothing can be asked of it without one; the server's own credential for that works, and " + seen.remark
			return seen, err
		}
		answers := &watched{next: transport}
		err := gateway.Probe(ctx, gateway.URL{Address: up.URL, HTTP: answers, Logger: log}.Open)
		switch refused := answers.unauthorized.Load(); {
		case err != nil && refused && source == nil && len(up.Headers) == 0:
			err = withFix(fmt.Errorf("%w; it wants a credential", err), "Give it one with on_behalf_of, client_credentials, managed_identity or header_files")
		case err != nil && refused:
			err = withFix(fmt.Errorf("%w; it does not take the credential that the server shows", err), "Check the credential, and what it is granted at the upstream")
		}
		return found{}, err
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
func knock(ctx context.Context, address string, base http.RoundTripper) (seen found, err error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(gateway.ProbeRequest))
	if err != nil {
		return seen, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := (&http.Client{Transport: base, CheckRedirect: wire.NoRedirect}).Do(r)
	if err != nil {
		return seen, fmt.Errorf("reaching it: %w", rootCause(err))
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	status := fmt.Sprintf("HTTP %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return found{remark: "without a token it answers " + status + ", as it should"}, nil
	case code < 300:
		return found{"it also answers without a token", "Is it protected at all? Have it check the tokens that it gets"}, nil
	case code < 400 || code == http.StatusNotFound || code == http.StatusMethodNotAllowed || code == http.StatusGone:
		return seen, withFix(fmt.Errorf("reaching it: it answers %s, as no MCP endpoint does", status), "Check the upstream's url")
	case code >= 500:
		return seen, fmt.Errorf("reaching it: it answers %s", status)
	}
	return found{remark: "without a token it answers " + status}, nil
}
