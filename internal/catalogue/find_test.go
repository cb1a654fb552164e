package catalogue_test

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/catalogue"
)

func codes(f catalogue.Found) []string {
	var out []string
	for _, e := range f.Entries {
		out = append(out, e.Code)
	}
	return out
}

const answer = `{"error":"invalid_grant","error_description":"AADSTS50076: Due to a configuration change made by your administrator, you must use multi-factor authentication.\r\nTrace ID: 0000aaaa-11bb-cccc-dd33-eeeeee333333\r\nCorrelation ID: AAAA0000-bb11-2222-33cc-444444dddddd\r\nTimestamp: 2026-01-09 02:02:12Z","error_codes":[50076],"suberror":"basic_action"}`

func TestFind(t *testing.T) {
	escaped, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	once := url.QueryEscape("AADSTS50011: The redirect URI 'http://localhost:1/' specified does not match")
	tests := []struct {
		name, text string
		want       []string
	}{
		{"a code in a sentence", "Sorry, but we're having trouble. AADSTS50011: The redirect URI …", []string{"AADSTS50011"}},
		{"small letters", "aadsts50011", []string{"AADSTS50011"}},
		{"a code twice", "AADSTS50011 AADSTS50011", []string{"AADSTS50011"}},
		{"several codes, in their order", "AADSTS65001 then AADSTS50011", []string{"AADSTS65001", "AADSTS50011"}},
		{"an answer of Entra", answer, []string{"AADSTS50076", "invalid_grant"}},
		{"the same within a string", string(escaped), []string{"AADSTS50076", "invalid_grant"}},
		{"only the numbers", `{"error":"invalid_client","error_codes":[7000218, 50011]}`, []string{"AADSTS7000218", "AADSTS50011", "invalid_client"}},
		{"an address", "http://localhost:3118/callback?error=access_denied&error_description=" + once, []string{"AADSTS50011", "access_denied"}},
		{"an address within an address", "https://x/?u=" + url.QueryEscape("error=invalid_scope&d="+once), []string{"AADSTS50011", "invalid_scope"}},
		{"an encoded underscore", "error%3Dinvalid%5Fgrant%26", []string{"invalid_grant"}},
		{"JSON's escapes", `\u0022error\u0022:\u0022invalid_grant\u0022`, []string{"invalid_grant"}},
		{"the help page", "https://login.microsoftonline.com/error?code=50058", []string{"AADSTS50058"}},
		{"a sign-in log", "Sign-in error code 53003", []string{"AADSTS53003"}},
		{"MSAL's form", "invalid_request: 9002327 - [2021-05-13 20:33:14Z]: AADSTS9002327: Tokens issued", []string{"AADSTS9002327", "invalid_request"}},
		{"an answer of mcpctl serve", `{"error":"invalid_token","error_description":"The token is for another service","fix":"…","rule":"audience"}`, []string{"audience", "invalid_token"}},
		{"a log line", `level=INFO msg=refused rule=graph-token status=401`, []string{"graph-token", "HTTP 401"}},
		{"the server's error", "refusing token (not-yet-valid): The token is valid only from", []string{"not-yet-valid"}},
		{"words that are also rules", "the role and the scope of the audience have expired", nil},
		{"a challenge", `www-authenticate: Bearer error="insufficient_claims", claims="eyJhIjoxfQ"`, []string{"insufficient_claims"}},
		{"a JSON-RPC error", `{"jsonrpc":"2.0","id":1,"error":{"code":-31001,"message":"…"}}`, []string{"-31001"}},
		{"a status", "Error POSTing to endpoint (HTTP 431): ", []string{"HTTP 431"}},
		{"Entra's refusal of an address", `{"error":{"code":"HostNameNotOnVerifiedDomain","message":"Values of identifierUris property must use a verified domain"}}`, []string{"unverified-domain"}},
		{"the same as a form", "Values+of+identifierUris+property+must+use+a+verified+domain", []string{"unverified-domain"}},
		{"an error of ours", "mcpctl: reading token: token store unreadable", []string{"store-unreadable"}},
		{"nothing", "all is well", nil},
		{"empty", "", nil},
		{"a number that is none", "order 50011 arrived", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := catalogue.Find(tt.text)
			if got := codes(f); !slices.Equal(got, tt.want) {
				t.Errorf("found %v, want %v", got, tt.want)
			}
			if len(f.Unknown) > 0 {
				t.Errorf("unknown: %v", f.Unknown)
			}
		})
	}
}

func TestFindTellsWhatIsUnknown(t *testing.T) {
	f := catalogue.Find("AADSTS99999 AADSTS50011 AADSTS0099999 AADSTS123")
	if !slices.Equal(f.Unknown, []string{"AADSTS99999"}) || !slices.Equal(codes(f), []string{"AADSTS50011"}) {
		t.Errorf("%+v", f)
	}
}

func TestFindReadsIDsForSupport(t *testing.T) {
	f := catalogue.Find(answer)
	if f.CorrelationID != "aaaa0000-bb11-2222-33cc-444444dddddd" || f.TraceID != "0000aaaa-11bb-cccc-dd33-eeeeee333333" {
		t.Errorf("%+v", f)
	}
}

// Whatever is pasted, only codes and ids come out of it.
func FuzzFind(f *testing.F) {
	f.Add(answer)
	f.Add("error_codes: [1234567890123, 99999] %41%41DSTS12345 \\u0041ADSTS123456 \\ud800")
	f.Add("Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln rule=eyJhbGciOiJ correlation id: x")
	code := regexp.MustCompile(`^AADSTS[1-9]\d{3,8}$`)
	id := regexp.MustCompile(`^([0-9a-f-]{36})?$`)
	f.Fuzz(func(t *testing.T, text string) {
		found := catalogue.Find(text)
		for _, u := range found.Unknown {
			if !code.MatchString(u) {
				t.Fatalf("an unknown code %q", u)
			}
		}
		if !id.MatchString(found.CorrelationID) || !id.MatchString(found.TraceID) {
			t.Fatalf("ids %q, %q", found.CorrelationID, found.TraceID)
		}
		for i, e := range found.Entries {
			if got, ok := catalogue.Lookup(e.Code); !ok || got.Title != e.Title {
				t.Fatalf("an entry that is none: %+v", e)
			}
			if slices.Contains(codes(found)[:i], e.Code) {
				t.Fatalf("%s twice", e.Code)
			}
		}
		if strings.HasPrefix(text, "AADSTS50011 ") && !slices.Contains(codes(found), "AADSTS50011") {
			t.Fatal("AADSTS50011 was not found")
		}
	})
}
