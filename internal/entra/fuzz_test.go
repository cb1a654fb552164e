package entra

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func FuzzParseAuthority(f *testing.F) {
	for _, seed := range []string{scriptedBase, scriptedBase + "/v2.0", "https://login.microsoftonline.us/contoso.us/", "https://login.windows.net/%2e%2e", "https://a@b:1/c?d#e"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := ParseAuthority(raw, "")
		if err != nil {
			return
		}
		if !slices.Contains(preferredHosts(), a.Host()) {
			t.Fatalf("%q is trusted at %q", raw, a.Host())
		}
		again, err := ParseAuthority(a.String(), "")
		if err != nil || again.String() != a.String() {
			t.Fatalf("%q became %s and then %s, %v", raw, a, again, err)
		}
	})
}

func FuzzCheckScopes(f *testing.F) {
	for _, seed := range []string{"api://x/A", "https://graph.microsoft.com/.default", "https://graph.microsoft.com:443//x", "User.Read", "a b\tc"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, scope string) {
		kept, err := CheckScopes([]string{scope}, nil)
		if err != nil {
			return
		}
		for _, k := range kept {
			if strings.ContainsAny(k, " \t\r\n\"") || !strings.Contains(k, "/") {
				t.Fatalf("%q was kept as %q", scope, k)
			}
			if u, err := url.Parse(scopeResource(k)); err == nil && strings.EqualFold(u.Hostname(), "graph.microsoft.com") && strings.EqualFold(u.Scheme, "https") {
				t.Fatalf("%q is Microsoft Graph's", k)
			}
		}
	})
}

func FuzzResourceMetadata(f *testing.F) {
	resource, _ := url.Parse("https://mcp.contoso.com/mcp")
	f.Add([]byte(`{"resource":"https://mcp.contoso.com/mcp","authorization_servers":["https://login.microsoftonline.com/common/v2.0"]}`))
	f.Add([]byte(`{"resource":"https://mcp.contoso.com/","authorization_servers":["x"],"scopes_supported":["a"]}`))
	f.Add([]byte(`{"resource":"//mcp.contoso.com/mcp/%2e%2e/other"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m resourceMetadata
		if json.Unmarshal(data, &m) != nil || m.check(resource) != nil {
			return
		}
		u, err := url.Parse(m.Resource)
		if err != nil || !strings.EqualFold(u.Host, "mcp.contoso.com") && !strings.EqualFold(u.Host, "mcp.contoso.com:443") {
			t.Fatalf("%q is taken for the server's own", m.Resource)
		}
		if issuer, tenant := pickAuthority(m.AuthorizationServers); issuer == "" && tenant != "" {
			t.Fatalf("a tenant %q without an authority", tenant)
		}
	})
}

func FuzzDecodeClaims(f *testing.F) {
	for _, seed := range []string{"", "{}", "e30=", `{"access_token":{"nbf":{"essential":true}}}`, "-_8", "null"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, claims string) {
		decoded, err := decodeClaims(claims)
		if err != nil || decoded == "" {
			return
		}
		var object map[string]any
		if json.Unmarshal([]byte(decoded), &object) != nil || object == nil {
			t.Fatalf("%q became %q", claims, decoded)
		}
	})
}
