package entra

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/catalogue"
)

func TestClassify(t *testing.T) {
	tests := []struct {
		name   string
		flow   flow
		status int
		body   string
		want   Kind
		person bool // matches ErrSignInRequired
		code   string
		hint   string
	}{
		{"revoked", flowRefresh, 400, `{"error":"invalid_grant","suberror":"bad_token","error_codes":[50173],"error_description":"AADSTS50173: revoked"}`, KindSignInRequired, true, "AADSTS50173", "mcpctl login"},
		{"inactive", flowRefresh, 400, `{"error":"invalid_grant","error_codes":[700082]}`, KindSignInRequired, true, "AADSTS700082", "90 days"},
		{"second factor", flowRefresh, 400, `{"error":"interaction_required","suberror":"basic_action","claims":"{\"access_token\":{}}","error_codes":[50076]}`, KindSignInRequired, true, "AADSTS50076", "second factor"},
		{"consent by suberror", flowRefresh, 400, `{"error":"invalid_grant","suberror":"consent_required"}`, KindConsentRequired, true, "", "permissions"},
		{"consent by number", flowRefresh, 400, `{"error":"invalid_grant","error_codes":[65001]}`, KindConsentRequired, true, "AADSTS65001", "permissions"},
		{"device code blocked, denied", flowDeviceCode, 400, `{"error":"access_denied","error_codes":[53003]}`, KindDeviceCodeBlocked, true, "AADSTS53003", "--browser"},
		{"device code blocked, invalid grant", flowDeviceCode, 400, `{"error":"invalid_grant","error_codes":[53003]}`, KindDeviceCodeBlocked, true, "AADSTS53003", "--browser"},
		{"device code blocked tenant-wide", flowDeviceCode, 400, `{"error":"invalid_grant","error_description":"AADSTS530032: no"}`, KindDeviceCodeBlocked, true, "AADSTS530032", "--browser"},
		{"device session forbidden later", flowRefresh, 400, `{"error":"invalid_grant","error_codes":[530036]}`, KindDeviceCodeBlocked, true, "AADSTS530036", "--browser"},
		{"blocked in a browser", flowBrowser, 400, `{"error":"access_denied","error_codes":[53003]}`, KindBlocked, false, "AADSTS53003", "Conditional Access"},
		{"blocked on refresh", flowRefresh, 400, `{"error":"invalid_grant","error_codes":[53003]}`, KindBlocked, false, "AADSTS53003", "administrator"},
		{"declined", flowDeviceCode, 400, `{"error":"authorization_declined"}`, KindDeclined, true, "", "try again"},
		{"cancelled in a browser", flowBrowser, 0, `{"error":"access_denied","error_description":"the user canceled"}`, KindDeclined, true, "", "try again"},
		{"expired", flowDeviceCode, 400, `{"error":"expired_token","error_codes":[70019]}`, KindExpired, true, "AADSTS70019", "mcpctl login"},
		{"bad code", flowDeviceCode, 400, `{"error":"bad_verification_code"}`, KindExpired, true, "", "mcpctl login"},
		{"public client flows off", flowDeviceCode, 401, `{"error":"invalid_client","error_codes":[7000218]}`, KindMisconfigured, false, "AADSTS7000218", "public client flows"},
		{"unknown API", flowDeviceCode, 400, `{"error":"invalid_resource","error_codes":[500011]}`, KindMisconfigured, false, "AADSTS500011", "Application ID URI"},
		{"wrong client, without a number", flowRefresh, 401, `{"error":"invalid_client"}`, KindMisconfigured, false, "", "Allow public client flows"},
		{"unknown number", flowDeviceCode, 400, `{"error":"invalid_scope","error_codes":[999999]}`, KindMisconfigured, false, "AADSTS999999", "Use the full scope"},
		{"loop", flowRefresh, 400, `{"error":"invalid_grant","error_codes":[50196]}`, KindThrottled, false, "AADSTS50196", "Wait"},
		{"throttled", flowRefresh, 429, `{"error":"temporarily_unavailable","error_codes":[90055]}`, KindThrottled, false, "AADSTS90055", "Wait"},
		{"outage, empty", flowRefresh, 503, ``, KindOutage, false, "", "again"},
		{"outage, HTML", flowRefresh, 502, `<html>Bad gateway</html>`, KindOutage, false, "", "again"},
		{"a proxy's page", flowRefresh, 403, `<html>Blocked</html>`, KindOutage, false, "", "again"},
		{"fields of odd types", flowRefresh, 400, `{"error":"invalid_grant","error_codes":"x","suberror":7}`, KindSignInRequired, true, "", "mcpctl login"},
		{"unknown", flowRefresh, 400, `{"error":"something_new"}`, KindFailed, false, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := &Error{Op: "testing"}
			e.fill(tt.flow, tt.status, parseOAuthError([]byte(tt.body)))
			if e.Kind != tt.want || errors.Is(e, ErrSignInRequired) != tt.person || e.Code != tt.code {
				t.Errorf("got kind %v, code %q, person %v; want %v, %q, %v", e.Kind, e.Code, errors.Is(e, ErrSignInRequired), tt.want, tt.code, tt.person)
			}
			if !strings.Contains(e.Error(), tt.hint) {
				t.Errorf("error is %q, want it to mention %q", e, tt.hint)
			}
			if strings.ContainsAny(e.Error(), "\r\n") {
				t.Errorf("error has more than one line: %q", e)
			}
		})
	}
}

// mcpctl explain knows every number that decides what an answer means.
func TestClassifiedNumbersAreExplained(t *testing.T) {
	numbers := slices.Collect(maps.Keys(deviceCodeBlocks))
	numbers = append(numbers, codeLoop, codeUserConsent, codeConsentDeclined, codeAdminConsent, codeAdminConsentPending)
	for _, n := range numbers {
		if _, ok := catalogue.Lookup(fmt.Sprint(n)); !ok {
			t.Errorf("AADSTS%d has no entry", n)
		}
	}
}

// Each number with which a policy stands against device codes leads to the
// browser and says why; in a browser, and save for two on a refresh, it does not.
func TestDeviceCodeBlocks(t *testing.T) {
	always := []int{530033, 530036}
	for number, why := range map[int]string{
		50005: "state of the device", 50097: "state of the device", 53000: "state of the device", 53001: "state of the device",
		530002: "state of the device", 530003: "state of the device", 530033: "state of the device",
		53003: "does not allow", 530031: "does not allow", 530032: "does not allow", 530035: "does not allow", 530036: "does not allow",
	} {
		for _, oauth := range []string{"invalid_grant", "access_denied", "interaction_required"} {
			body := parseOAuthError(fmt.Appendf(nil, `{"error":%q,"error_codes":[%d],"error_description":"AADSTS%d: Blocked"}`, oauth, number, number))
			e := &Error{Op: "testing"}
			e.fill(flowDeviceCode, 400, body)
			if e.Kind != KindDeviceCodeBlocked || !strings.Contains(e.Error(), why) || strings.Count(e.Error(), "--browser") != 1 || !errors.Is(e, ErrSignInRequired) {
				t.Errorf("%d %s with a device code: %v, %v", number, oauth, e.Kind, e)
			}
			for _, f := range []flow{flowRefresh, flowBrowser} {
				if got := classify(f, 400, body); (got == KindDeviceCodeBlocked) != slices.Contains(always, number) {
					t.Errorf("%d %s otherwise: %v", number, oauth, got)
				}
			}
		}
	}
	if classify(flowDeviceCode, 400, oauthError{Error: "invalid_grant", Codes: []int{53002}}) == KindDeviceCodeBlocked {
		t.Error("an app that is not approved is not approved in a browser either")
	}
}

func TestDescriptionIsOneLineWithoutTraceOrTokens(t *testing.T) {
	jwt := "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
	opaque := "0.AXoA" + strings.Repeat("k3Jd_", 40)
	tests := []struct{ in, want string }{
		{"AADSTS50076: Use a second factor.\r\nTrace ID: 1\r\nCorrelation ID: 2\r\nTimestamp: 3", "AADSTS50076: Use a second factor."},
		{"AADSTS50076: Use a second factor. Trace ID: 1 Correlation ID: 2", "AADSTS50076: Use a second factor."},
		{"token " + jwt + " was bad", "token [redacted] was bad"},
		{"token " + opaque + " was bad", "token [redacted] was bad"},
		{"a\x1b[31mb\x00c", "a [31mb c"},
	}
	for _, tt := range tests {
		if got := redactDescription(tt.in); got != tt.want {
			t.Errorf("redactDescription(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
	if got := redactDescription(strings.Repeat("long words ", 1000)); len(got) > maxDescription+8 {
		t.Errorf("a long text stays %d bytes long", len(got))
	}
}

func FuzzParseOAuthError(f *testing.F) {
	f.Add([]byte(`{"error":"invalid_grant","error_codes":[1],"claims":"{}"}`))
	f.Add([]byte(`<html>`))
	f.Add([]byte(`{"error":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e := &Error{Op: "testing"}
		e.fill(flowRefresh, 400, parseOAuthError(body))
		text := e.Error()
		if strings.ContainsAny(text, "\r\n\x00\x1b") {
			t.Fatalf("control characters in %q", text)
		}
		if len(text) > 4*maxDescription {
			t.Fatalf("an error of %d bytes", len(text))
		}
	})
}
