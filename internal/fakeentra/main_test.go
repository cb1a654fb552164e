package fakeentra_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"go.uber.org/goleak"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sharedKey saves each test the making of a key.
var sharedKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// start runs an authority with the sample tenant until the test ends.
func start(t testing.TB, o fakeentra.Options) (*fakeentra.Server, fakeentra.Sample) {
	t.Helper()
	o.SigningKey = sharedKey()
	srv, err := fakeentra.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	sample, err := srv.AddSample("")
	if err != nil {
		t.Fatal(err)
	}
	return srv, sample
}

func register(t testing.TB, srv *fakeentra.Server, a fakeentra.App) fakeentra.App {
	t.Helper()
	a, err := srv.RegisterApp(a)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// send makes a request without following redirects and returns the answer with
// its body read.
func send(t testing.TB, srv *fakeentra.Server, method, target string, form url.Values) (*http.Response, string) {
	t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	client := *srv.HTTPClient()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// reply is a JSON answer of any endpoint.
type reply struct {
	status int
	header http.Header

	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
	Scope        string `json:"scope"`
	ExpiresIn    *int   `json:"expires_in"`
	RefreshIn    *int   `json:"refresh_in"`
	ClientInfo   string `json:"client_info"`

	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`

	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes"`
	Timestamp     string `json:"timestamp"`
	TraceID       string `json:"trace_id"`
	CorrelationID string `json:"correlation_id"`
	URI           string `json:"error_uri"`
	SubError      string `json:"suberror"`
	Claims        string `json:"claims"`
}

func decode(t testing.TB, resp *http.Response, body string) reply {
	t.Helper()
	r := reply{status: resp.StatusCode, header: resp.Header}
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatalf("status %d, body %q: %v", resp.StatusCode, body, err)
	}
	return r
}

func post(t testing.TB, srv *fakeentra.Server, endpoint string, form url.Values) reply {
	t.Helper()
	resp, body := send(t, srv, http.MethodPost, srv.Authority()+"/oauth2/v2.0/"+endpoint, form)
	return decode(t, resp, body)
}

func params(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

// with returns a copy of the form with some values replaced; an empty value
// removes the parameter.
func with(form url.Values, pairs ...string) url.Values {
	out := url.Values{}
	for k, v := range form {
		out[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		out.Del(pairs[i])
		if pairs[i+1] != "" {
			out.Set(pairs[i], pairs[i+1])
		}
	}
	return out
}

// signIn signs a person in with a device code and returns the token response.
func signIn(t testing.TB, srv *fakeentra.Server, clientID, scope, upn string) reply {
	t.Helper()
	dc := post(t, srv, "devicecode", params("client_id", clientID, "scope", scope))
	if dc.Error != "" {
		t.Fatal(dc.Description)
	}
	if err := srv.ApproveDevice(dc.UserCode, upn); err != nil {
		t.Fatal(err)
	}
	r := post(t, srv, "token", params("client_id", clientID, "grant_type", "device_code", "device_code", dc.DeviceCode, "scope", scope, "client_info", "1"))
	if r.Error != "" {
		t.Fatal(r.Description)
	}
	return r
}

// verify checks a token with the published keys, as a resource server does, and
// returns header and claims.
func verify(t testing.TB, srv *fakeentra.Server, token string) (jose.Header, map[string]any) {
	t.Helper()
	_, body := send(t, srv, http.MethodGet, srv.Authority()+"/discovery/v2.0/keys", nil)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatal(err)
	}
	tok, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := tok.Claims(set, &claims); err != nil {
		t.Fatalf("verifying: %v", err)
	}
	return tok.Headers[0], claims
}
