package auth

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	testTenant  = "11111111-aaaa-4bbb-8ccc-000000000001"
	otherTenant = "22222222-aaaa-4bbb-8ccc-000000000002"
	testAPI     = "33333333-aaaa-4bbb-8ccc-000000000003"
	testClient  = "44444444-aaaa-4bbb-8ccc-000000000004"
	testPerson  = "55555555-aaaa-4bbb-8ccc-000000000005"
	testURI     = "https://mcp.contoso.com/mcp"
	testScope   = "Mcp.Access"
	testRole    = "Mcp.Call"
)

// start is when the tests' clock begins.
var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// clock is a settable clock.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: start} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// testKey is generated once; making RSA keys is slow.
var testKey, otherKey = sync.OnceValue(generateKey), sync.OnceValue(generateKey)

func generateKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// fakeAuthority answers the metadata and key requests that reach it as an HTTP
// transport, whatever the host. It stands in for Microsoft's hosts, so that the
// rules are tested with their real names.
type fakeAuthority struct {
	mu        sync.Mutex
	keys      map[string]any    // by kid: *rsa.PrivateKey or a raw JWK
	keyIssuer string            // issuer property of v2 keys
	cloud     string            // cloud_instance_name of keys
	override  map[string]string // by URL: other body
	status    int
	err       error
	hold      chan struct{} // if set, requests wait for it
	requests  []string
}

func newFakeAuthority() *fakeAuthority {
	return &fakeAuthority{
		keys:      map[string]any{"kid-1": testKey()},
		keyIssuer: "https://login.microsoftonline.com/{tenantid}/v2.0",
		override:  map[string]string{},
		status:    http.StatusOK,
	}
}

func (f *fakeAuthority) set(change func(*fakeAuthority)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// fetches counts the key documents that were asked for.
func (f *fakeAuthority) fetches() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, u := range f.requests {
		if strings.HasSuffix(u, "openid-configuration") {
			n++
		}
	}
	return n
}

func (f *fakeAuthority) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	hold := f.hold
	f.requests = append(f.requests, r.URL.String())
	f.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	body, ok := f.override[r.URL.String()]
	if !ok {
		body = f.document(r)
	}
	header := http.Header{}
	if f.status >= 300 && f.status < 400 {
		header.Set("Location", "https://evil.example/keys")
	}
	return &http.Response{
		StatusCode: f.status, Header: header, Request: r,
		Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

func (f *fakeAuthority) document(r *http.Request) string {
	segments := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	tenant, version2 := segments[0], strings.Contains(r.URL.Path, "v2.0")
	if !strings.HasSuffix(r.URL.Path, "openid-configuration") {
		return f.keyDocument(version2)
	}
	metadata := map[string]string{"cloud_instance_name": f.cloud}
	if version2 {
		metadata["issuer"] = "https://" + r.URL.Host + "/" + tenant + "/v2.0"
		metadata["jwks_uri"] = "https://" + r.URL.Host + "/" + tenant + "/discovery/v2.0/keys"
	} else {
		metadata["issuer"] = "https://sts.windows.net/" + tenant + "/"
		if strings.HasSuffix(r.URL.Host, ".cn") {
			metadata["issuer"] = "https://sts.chinacloudapi.cn/" + tenant + "/"
		}
		metadata["jwks_uri"] = "https://" + r.URL.Host + "/" + tenant + "/discovery/keys"
	}
	return mustJSON(metadata)
}

func (f *fakeAuthority) keyDocument(version2 bool) string {
	list := []any{}
	for kid, key := range f.keys {
		private, ok := key.(*rsa.PrivateKey)
		if !ok {
			list = append(list, key)
			continue
		}
		jwk := publicJWK(kid, &private.PublicKey)
		if version2 && f.keyIssuer != "" {
			jwk["issuer"] = f.keyIssuer
		}
		if f.cloud != "" {
			jwk["cloud_instance_name"] = f.cloud
		}
		list = append(list, jwk)
	}
	return mustJSON(map[string]any{"keys": list})
}

func publicJWK(kid string, key *rsa.PublicKey) map[string]any {
	return map[string]any{
		"kty": "RSA", "use": "sig", "kid": kid, "x5t": kid,
		"n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes()),
		"x5c": []string{"not a certificate; nobody should look"},
	}
}

// token is what a test signs: header and claims as maps, which it changes.
type testToken struct {
	header, claims map[string]any
	key            *rsa.PrivateKey
}

func v2Token() *testToken {
	return &testToken{
		key:    testKey(),
		header: map[string]any{"typ": "JWT", "alg": "RS256", "kid": "kid-1"},
		claims: map[string]any{
			"aud": testAPI, "iss": "https://login.microsoftonline.com/" + testTenant + "/v2.0",
			"iat": start.Unix(), "nbf": start.Add(-5 * time.Minute).Unix(), "exp": start.Add(time.Hour).Unix(),
			"azp": testClient, "azpacr": "0", "idtyp": "user", "name": "Ada Lovelace", "oid": testPerson,
			"preferred_username": "ada@contoso.com", "scp": testScope + " Mcp.Admin", "sub": "pairwise",
			"tid": testTenant, "uti": "uti-1", "ver": "2.0", "rh": "1.x", "aio": "opaque",
		},
	}
}

func v1Token() *testToken {
	t := v2Token()
	for _, name := range []string{"azp", "azpacr", "preferred_username"} {
		delete(t.claims, name)
	}
	maps.Copy(t.claims, map[string]any{
		"aud": testURI, "iss": "https://sts.windows.net/" + testTenant + "/", "ver": "1.0",
		"appid": testClient, "appidacr": "0", "upn": "ada@contoso.com",
	})
	return t
}

// appToken is a client's own token.
func appToken() *testToken {
	t := v2Token()
	delete(t.claims, "scp")
	t.claims["idtyp"], t.claims["roles"] = "app", []string{testRole}
	return t
}

// with lays claims over the token's; nil removes.
func (t *testToken) with(claims map[string]any) *testToken {
	overlay(t.claims, claims)
	return t
}

// withHeader lays header parameters over the token's; nil removes.
func (t *testToken) withHeader(header map[string]any) *testToken {
	overlay(t.header, header)
	return t
}

func overlay(dst, changes map[string]any) {
	maps.Copy(dst, changes)
	maps.DeleteFunc(dst, func(_ string, v any) bool { return v == nil })
}

func (t *testToken) sign() string { return signRaw(t.key, mustJSON(t.header), mustJSON(t.claims)) }

// rewrite signs the token with the payload's text changed.
func (t *testToken) rewrite(old, replacement string) string {
	payload := mustJSON(t.claims)
	if !strings.Contains(payload, old) {
		panic("payload does not contain " + old)
	}
	return signRaw(t.key, mustJSON(t.header), strings.Replace(payload, old, replacement, 1))
}

// signRaw signs header and payload exactly as given.
func signRaw(key *rsa.PrivateKey, header, payload string) string {
	return signParts(key, b64([]byte(header)), b64([]byte(payload)))
}

func signParts(key *rsa.PrivateKey, header, payload string) string {
	input := header + "." + payload
	sum := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return input + "." + b64(sig)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// testOptions admits what v2Token, v1Token and appToken make.
func testOptions(f *fakeAuthority, c *clock) Options {
	return Options{
		TenantIDs:      []string{testTenant},
		Audiences:      []string{testAPI, testURI},
		RequiredScopes: []string{testScope},
		RequiredRoles:  []string{testRole},
		HTTPClient:     &http.Client{Transport: f},
		Now:            c.Now,
	}
}

func newVerifier(t testing.TB, o Options) *Verifier {
	t.Helper()
	v, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// verify judges a token with a verifier and authority of its own, which has
// ended when verify returns.
func verify(t *testing.T, raw string, change func(*Options)) (*Principal, error) {
	t.Helper()
	o := testOptions(newFakeAuthority(), newClock())
	if change != nil {
		change(&o)
	}
	v := newVerifier(t, o)
	defer func() { _ = v.Close() }() // ends what still logs
	return v.Verify(context.Background(), raw)
}
