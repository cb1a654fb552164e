package obo_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/server/auth"
	"github.com/mcpctl/mcpctl/server/obo"
)

// recorder is a base transport that keeps the last request.
type recorder struct {
	last   *http.Request
	status int
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.last = req
	if req.Body != nil {
		_ = req.Body.Close()
	}
	status := r.status
	if status == 0 {
		status = http.StatusOK
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
}

// token is a source that always has the same credential, made from a file.
func tokenFile(t *testing.T, value string) (source obo.Source, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := obo.NewHeaderFiles(map[string]string{"Authorization": path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, path
}

func send(ctx context.Context, t http.RoundTripper, address string, header ...string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := t.RoundTrip(req)
	if err == nil {
		err = resp.Body.Close()
	}
	return err
}

func TestTransportStaysAtItsOrigin(t *testing.T) {
	base := &recorder{}
	source, _ := tokenFile(t, "Bearer of-the-server")
	transport, err := obo.NewTransport(base, "https://crm.internal/mcp", source, nil)
	if err != nil {
		t.Fatal(err)
	}
	for address, allowed := range map[string]bool{
		"https://crm.internal/mcp":          true,
		"https://CRM.internal:443/other":    true,
		"http://crm.internal/mcp":           false,
		"https://crm.internal:8443/mcp":     false,
		"https://crm.internal.evil/mcp":     false,
		"https://evil@crm.internal.x/mcp":   false,
		"https://login.microsoftonline.com": false,
	} {
		base.last = nil
		err := send(t.Context(), transport, address)
		if (err == nil) != allowed || (base.last != nil) != allowed {
			t.Errorf("%s: %v, sent: %v", address, err, base.last != nil)
		}
		if allowed && base.last.Header.Get("Authorization") != "Bearer of-the-server" {
			t.Errorf("%s: no credential", address)
		}
	}
}

// TestCallersTokenNeverLeaves: not even where a configuration or a bug would
// carry it.
func TestCallersTokenNeverLeaves(t *testing.T) {
	const inbound = "eyJhbGciOi.the-callers-own.token"
	base := &recorder{}
	ctx := auth.WithAssertion(t.Context(), &auth.Principal{TenantID: "t", ObjectID: "o", ExpiresAt: time.Now().Add(time.Hour)}, inbound)
	plain, err := obo.NewTransport(base, "https://crm.internal/mcp", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	source, _ := tokenFile(t, "Bearer "+inbound)
	same, err := obo.NewTransport(base, "https://crm.internal/mcp", source, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"Authorization": send(ctx, plain, "https://crm.internal/mcp", "Authorization", "Bearer "+inbound),
		"another field": send(ctx, plain, "https://crm.internal/mcp", "X-Token", "a "+inbound),
		"as credential": send(ctx, same, "https://crm.internal/mcp"),
	} {
		if err == nil || base.last != nil || strings.Contains(err.Error(), inbound) {
			t.Errorf("%s: %v, sent: %v", name, err, base.last != nil)
		}
	}
	if err := send(ctx, plain, "https://crm.internal/mcp", "Cookie", "a=b", "Proxy-Authorization", "x", "X-Fine", "y"); err != nil ||
		base.last.Header.Get("Cookie") != "" || base.last.Header.Get("Proxy-Authorization") != "" || base.last.Header.Get("X-Fine") != "y" {
		t.Errorf("got %v, header %v", err, base.last.Header)
	}
}

func TestSessionSpeaksForOneCaller(t *testing.T) {
	w := newWorld(t)
	session := w.transport(w.onBehalfOf()).Session()
	if _, _, err := w.call(t.Context(), session); err == nil {
		t.Error("a connection without a caller has a credential")
	}
	w.within(w.mint(fakeentra.TokenSpec{Person: w.sample.Ada.UPN}), func(ctx context.Context) {
		if _, claims, err := w.call(ctx, session); err != nil || claims["oid"] != w.sample.Ada.OID {
			t.Errorf("got %v, %v", claims, err)
		}
	})
	// The stream for the server's own messages, and the end of the session.
	if _, claims, err := w.call(t.Context(), session); err != nil || claims["oid"] != w.sample.Ada.OID {
		t.Errorf("got %v, %v", claims, err)
	}
	w.within(w.mint(fakeentra.TokenSpec{Person: w.sample.Grace.UPN}), func(ctx context.Context) {
		if _, _, err := w.call(ctx, session); err == nil {
			t.Error("the connection of one caller serves another")
		}
	})
}

func TestHeaderFilesAreReadAgain(t *testing.T) {
	source, path := tokenFile(t, "  first \n")
	value := func() string {
		base := &recorder{}
		transport, err := obo.NewTransport(base, "https://crm.internal/mcp", source, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := send(t.Context(), transport, "https://crm.internal/mcp"); err != nil {
			t.Fatal(err)
		}
		return base.last.Header.Get("Authorization")
	}
	if got := value(); got != "first" {
		t.Errorf("got %q", got)
	}
	if err := os.WriteFile(path, []byte("the second"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := value(); got != "the second" {
		t.Errorf("got %q after a change", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := value(); got != "the second" {
		t.Errorf("got %q while the file is away", got)
	}
	if err := os.WriteFile(path, []byte("the third!"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := source.Credential(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := source.Renew(t.Context(), before, ""); err != nil || !again.Equal(before) {
		t.Errorf("the same file gives another value, %v", err)
	}
}

func TestHeaderFilesAreChecked(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"empty": " \n", "lines": "a\nb", "large": strings.Repeat("a", 20<<10)} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := obo.NewHeaderFiles(map[string]string{"X-Key": path}, nil); err == nil || !strings.Contains(err.Error(), "X-Key") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := obo.NewHeaderFiles(map[string]string{"X-Key": filepath.Join(dir, "none")}, nil); err == nil {
		t.Error("no error for a missing file")
	}
}

func TestNothingPrintsACredential(t *testing.T) {
	source, _ := tokenFile(t, "hunter2")
	c, err := source.Credential(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx := auth.WithAssertion(t.Context(), &auth.Principal{}, "hunter2")
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "c", c, "ctx", ctx)
	encoded, _ := json.Marshal(map[string]any{"c": c})
	hidden := struct {
		c obo.Credential
		s obo.Source
	}{c, source}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q %x", c, c, c, c, c, c), fmt.Sprintf("%v %+v %#v", hidden, hidden, hidden), fmt.Sprintf("%+v", source), fmt.Sprintf("%v %+v %#v", ctx, ctx, ctx), log.String(), string(encoded)} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("printed: %s", text)
		}
	}
}
