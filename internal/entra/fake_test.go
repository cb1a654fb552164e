package entra

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
)

const (
	testClientID = "1b2e3d4c-8a6f-4d2b-8c9e-4f5a6b7c8d9e"
	testScope    = "api://0a1d2c3b-7f5e-4c1a-9b8d-3e4f5a6b7c8d/Mcp.Access"
)

// memoryCache is a token cache in memory, to be shared by clients that stand
// for processes.
type memoryCache struct {
	mu     sync.Mutex
	blob   []byte
	gate   chan struct{}
	broken error // what Replace fails with
	locks  int   // how often the lock was taken
}

func newMemoryCache() *memoryCache { return &memoryCache{gate: make(chan struct{}, 1)} }

func (m *memoryCache) Replace(_ context.Context, u cache.Unmarshaler, _ cache.ReplaceHints) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	return u.Unmarshal(m.blob)
}

func (m *memoryCache) Export(_ context.Context, c cache.Marshaler, _ cache.ExportHints) error {
	if len(m.gate) == 0 {
		panic("Export without the lock")
	}
	blob, err := c.Marshal()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blob = blob
	return err
}

func (m *memoryCache) Lock(ctx context.Context) (func(), error) {
	select {
	case m.gate <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("locking: %w", ctx.Err())
	}
	m.mu.Lock()
	m.locks++
	m.mu.Unlock()
	return sync.OnceFunc(func() { <-m.gate }), nil
}

func (m *memoryCache) TryLock() (func(), bool, error) {
	select {
	case m.gate <- struct{}{}:
		return sync.OnceFunc(func() { <-m.gate }), true, nil
	default:
		return func() {}, false, nil
	}
}

// roundTripper is a transport made of a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return f(r)
}

// answerWith makes a response.
func answerWith(r *http.Request, status int, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
}

// scriptedAuthority plays Entra in memory, so that tests can say byte for byte
// what it answers, at Microsoft's own host name and in virtual time.
type scriptedAuthority struct {
	t  *testing.T
	mu sync.Mutex
	// metadata replaces the discovery document.
	metadata string
	// token answers token requests in order; the last one stays. Each gets the
	// posted form.
	token []func(r *http.Request, form url.Values) (*http.Response, error)
	// device is the device code answer; empty is the usual one.
	device string
	forms  []url.Values // what the token endpoint got
	hosts  []string
	times  []time.Time
}

const scriptedBase = "https://login.microsoftonline.com/" + testTenant

func (a *scriptedAuthority) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	var form url.Values
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		form, _ = url.ParseQuery(string(body))
	}
	a.mu.Lock()
	a.hosts = append(a.hosts, r.URL.Host)
	metadata, device := a.metadata, a.device
	var respond func(*http.Request, url.Values) (*http.Response, error)
	if strings.HasSuffix(r.URL.Path, "/token") {
		a.forms = append(a.forms, form)
		a.times = append(a.times, time.Now())
		if len(a.token) > 0 {
			respond = a.token[0]
			if len(a.token) > 1 {
				a.token = a.token[1:]
			}
		}
	}
	a.mu.Unlock()
	switch {
	case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
		if metadata == "" {
			metadata = fmt.Sprintf(`{"issuer":"%[1]s/v2.0","authorization_endpoint":"%[1]s/oauth2/v2.0/authorize","token_endpoint":"%[1]s/oauth2/v2.0/token"}`, scriptedBase)
		}
		return answerWith(r, 200, metadata), nil
	case strings.HasSuffix(r.URL.Path, "/devicecode"):
		if device == "" {
			device = `{"user_code":"ABCD","device_code":"the-device-code","verification_uri":"https://microsoft.com/devicelogin","expires_in":900,"interval":5,"message":"Go there\nand type ABCD"}`
		}
		return answerWith(r, 200, device), nil
	case respond != nil:
		return respond(r, form)
	}
	return answerWith(r, 404, ""), nil
}

func (a *scriptedAuthority) tokenRequests() []url.Values {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]url.Values(nil), a.forms...)
}

// respond answers with a fixed status and body.
func respond(status int, body string, header ...string) func(*http.Request, url.Values) (*http.Response, error) {
	return func(r *http.Request, _ url.Values) (*http.Response, error) {
		return answerWith(r, status, body, header...), nil
	}
}

// issue answers with a token that lives for d. extra is added to the JSON.
func issue(token string, d time.Duration, extra string) func(*http.Request, url.Values) (*http.Response, error) {
	return respond(200, tokenBody(token, d, extra))
}

func tokenBody(token string, d time.Duration, extra string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	id := fmt.Sprintf(`{"tid":"%s","oid":"a1111111-1111-4111-8111-111111111111","preferred_username":"ada@contoso.example","name":"Ada Lovelace","sub":"s"}`, testTenant)
	return fmt.Sprintf(`{"token_type":"Bearer","access_token":%q,"refresh_token":%q,"expires_in":%d,"scope":%q,"id_token":%q,"client_info":%q%s}`,
		token, "refresh-of-"+token, int(d.Seconds()), testScope, b64([]byte(`{"alg":"none"}`))+"."+b64([]byte(id))+".",
		b64([]byte(`{"uid":"a1111111-1111-4111-8111-111111111111","utid":"`+testTenant+`"}`)), extra)
}

func pendingAnswer() func(*http.Request, url.Values) (*http.Response, error) {
	return respond(400, `{"error":"authorization_pending","error_codes":[70016]}`)
}

func newTestClient(t *testing.T, c TokenCache, transport http.RoundTripper, edit ...func(*Options)) *Client {
	t.Helper()
	authority, err := ParseAuthority(scriptedBase, "")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Authority: authority, ClientID: testClientID, Scopes: []string{testScope}, Cache: c, Transport: transport}
	for _, e := range edit {
		e(&o)
	}
	client, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func ignoreCode(DeviceCode) error { return nil }

// signedIn returns a client whose cache holds the token.
func signedIn(t *testing.T, a *scriptedAuthority, store *memoryCache, token string, d time.Duration, extra string) *Client {
	t.Helper()
	c := newTestClient(t, store, a)
	a.mu.Lock()
	a.token = []func(*http.Request, url.Values) (*http.Response, error){issue(token, d, extra)}
	a.mu.Unlock()
	if _, err := c.SignInDeviceCode(t.Context(), ignoreCode); err != nil {
		t.Fatal(err)
	}
	return c
}

func (a *scriptedAuthority) script(steps ...func(*http.Request, url.Values) (*http.Response, error)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token = steps
	a.forms, a.times = nil, nil
}

func mustContain(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !bytes.Contains([]byte(err.Error()), []byte(part)) {
			t.Errorf("error is %v, want it to mention %q", err, part)
		}
	}
}
