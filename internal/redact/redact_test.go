package redact

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"

func TestString(t *testing.T) {
	tests := []struct{ in, want string }{
		{"nothing to hide", "nothing to hide"},
		{"got " + jwt + " back", "got [redacted] back"},
		{"Authorization: Bearer abc", "Authorization: [redacted]"},
		{`map[Authorization:[Bearer abc] Accept:[*/*]]`, `map[Authorization:[[redacted]] Accept:[*/*]]`},
		{`{"authorization": "Basic dTpw", "x": 1}`, `{"authorization": "[redacted]", "x": 1}`},
		{"proxy-authorization=Basic dTpw", "proxy-authorization=[redacted]"},
		{"Cookie: a=b; c=d", "Cookie: [redacted]"},
		{"Set-Cookie: sid=5; Path=/", "Set-Cookie: [redacted]"},
		{"said bearer abcdefgh12345", "said bearer [redacted]"},
		{"grant_type=x&client_secret=s3cr3t&scope=y", "grant_type=x&client_secret=[redacted]&scope=y"},
		{`{"refresh_token":"0.AAA","expires_in":3599}`, `{"refresh_token":"[redacted]","expires_in":3599}`},
		{"http://127.0.0.1:1/?code=0.AXkA&state=xyz#f", "http://127.0.0.1:1/?code=[redacted]&state=[redacted]#f"},
		{"https://a.example/mcp?key=abc", "https://a.example/mcp?key=[redacted]"},
		{"https://a.example/messages?sessionId=abc", "https://a.example/messages?sessionId=[redacted]"},
		{"proxy http://alice:hunter2@proxy:8080/", "proxy http://[redacted]@proxy:8080/"},
		{"code=-31001 AADSTS53003", "code=-31001 AADSTS53003"},
		{"the token store is the keyring", "the token store is the keyring"},
		{"mail alice@contoso.com", "mail alice@contoso.com"},
		{"a bearer token is wanted", "a bearer token is wanted"},
	}
	for _, test := range tests {
		if got := String(test.in); got != test.want {
			t.Errorf("%q became %q, want %q", test.in, got, test.want)
		}
	}
}

// secretValue prints as itself unless asked the way slog asks.
type secretValue string

func (secretValue) LogValue() slog.Value { return slog.StringValue(Mask) }

type holder struct{ Inner *struct{ AccessToken string } }

func TestHandlerMasks(t *testing.T) {
	header := http.Header{"Authorization": {"Bearer hunter2hunter2"}, "X-Api-Key": {"hunter2"}, "Accept": {"*/*"}}
	deep := holder{&struct{ AccessToken string }{jwt}}
	proxy := &url.URL{Scheme: "http", User: url.UserPassword("alice", "hunter2"), Host: "proxy:1"}
	tests := map[string]func(*slog.Logger){
		"message":      func(l *slog.Logger) { l.Info("sent Authorization: Bearer hunter2") },
		"LogValuer":    func(l *slog.Logger) { l.Info("x", "value", secretValue("hunter2")) },
		"name":         func(l *slog.Logger) { l.Info("x", "client_secret", "hunter2") },
		"header":       func(l *slog.Logger) { l.Info("x", "headers", header) },
		"error":        func(l *slog.Logger) { l.Info("x", "reason", errors.New("GET http://a:hunter2@b/")) },
		"URL":          func(l *slog.Logger) { l.Info("x", "proxy", proxy) },
		"group":        func(l *slog.Logger) { l.Info("x", slog.Group("g", "password", "hunter2", "ok", 1)) },
		"with":         func(l *slog.Logger) { l.With("cookie", "hunter2").WithGroup("g").Info("x", "a", 1) },
		"pointer":      func(l *slog.Logger) { l.Info("x", "deep", deep) },
		"list":         func(l *slog.Logger) { l.Info("x", "args", []string{"--header", "Authorization: Bearer hunter2"}) },
		"known secret": func(l *slog.Logger) { l.Info("x", "reason", "the server said: bad key swordfish") },
	}
	for name, log := range tests {
		for kind, handler := range map[string]func(*bytes.Buffer) slog.Handler{
			"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
			"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		} {
			var b bytes.Buffer
			log(slog.New(NewHandler(handler(&b), "swordfish", "")))
			for _, secret := range []string{"hunter2", jwt, "swordfish"} {
				if strings.Contains(b.String(), secret) {
					t.Errorf("%s, %s: %s", name, kind, &b)
				}
			}
			if !strings.Contains(b.String(), Mask) {
				t.Errorf("%s, %s: nothing is masked in %s", name, kind, &b)
			}
		}
	}
}

func TestHandlerLeavesTheRestAlone(t *testing.T) {
	var plain, masked bytes.Buffer
	for _, h := range []slog.Handler{slog.NewJSONHandler(&plain, nil), NewHandler(slog.NewJSONHandler(&masked, nil), "swordfish")} {
		l := slog.New(h).With("run", "1").WithGroup("g")
		l.Warn("answered", "status", 401, "took", 5, "token_store", "keyring", "tokens", 2, "header", http.Header{"Accept": {"a", "b"}}, "any", struct{ A int }{1}, "code", -31001)
	}
	cut := func(b *bytes.Buffer) string { _, rest, _ := strings.Cut(b.String(), `"level"`); return rest }
	if cut(&plain) != cut(&masked) {
		t.Errorf("got  %s\nwant %s", &masked, &plain)
	}
}

func FuzzString(f *testing.F) {
	f.Add("Authorization: Bearer " + jwt)
	f.Add("https://u:p@h/?code=1")
	f.Fuzz(func(t *testing.T, s string) {
		once := String(s)
		if strings.Contains(once, jwt) {
			t.Errorf("%q keeps the token", once)
		}
		if i := strings.Index(s, "client_secret=hunter2"); i == 0 && strings.Contains(once, "hunter2") {
			t.Errorf("%q keeps the secret", once)
		}
	})
}
