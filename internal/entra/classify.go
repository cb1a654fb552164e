package entra

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mcpctl/mcpctl/internal/catalogue"
)

// A flow is the way in which a token is obtained; the same answer means
// different things in different flows.
type flow int

const (
	flowRefresh flow = iota
	flowDeviceCode
	flowBrowser
)

// oauthError is an error answer of Entra's token and device code endpoints
// (RFC 6749 section 5.2 with Entra's additions).
type oauthError struct {
	Error         string `json:"error"`
	Suberror      string `json:"suberror"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes"`
	Claims        string `json:"claims"`
	CorrelationID string `json:"correlation_id"`
}

// parseOAuthError reads an error body. What is not an OAuth error, such as a
// proxy's HTML page, gives the zero value.
func parseOAuthError(body []byte) oauthError {
	var e oauthError
	if err := json.Unmarshal(body, &e); err == nil {
		return e
	}
	// One field of an unexpected type must not hide the others.
	var loose map[string]json.RawMessage
	if json.Unmarshal(body, &loose) != nil {
		return oauthError{}
	}
	e = oauthError{}
	for name, field := range map[string]any{
		"error": &e.Error, "suberror": &e.Suberror, "error_description": &e.Description,
		"error_codes": &e.Codes, "claims": &e.Claims, "correlation_id": &e.CorrelationID,
	} {
		_ = json.Unmarshal(loose[name], field)
	}
	return e
}

var aadstsPattern = regexp.MustCompile(`AADSTS(\d{4,9})\b`)

// code returns the AADSTS number, or 0.
func (e oauthError) code() int {
	if len(e.Codes) > 0 && e.Codes[0] > 0 {
		return e.Codes[0]
	}
	if m := aadstsPattern.FindStringSubmatch(e.Description); m != nil {
		n, _ := strconv.Atoi(m[1])
		return n
	}
	return 0
}

// Numbers that are the only sign Entra gives of what happened.
const (
	codeBlockedByPolicy         = 53003  // Conditional Access said no
	codeBlockedBySecurityPolicy = 530032 // so did a tenant-wide security policy
	codeDeviceFlowUntold        = 530033 // a policy asks for the device, which a device code does not tell
	codeDeviceFlowTracked       = 530036 // a session that began with a device code is now forbidden
	codeLoop                    = 50196  // the same request too often
	codeUserConsent             = 65001
	codeConsentDeclined         = 65004
	codeAdminConsent            = 90094
	codeAdminConsentPending     = 90095
)

// classify decides what an error answer asks for.
func classify(f flow, status int, e oauthError) Kind {
	switch {
	case status == http.StatusTooManyRequests, e.code() == codeLoop:
		return KindThrottled
	case status >= 500, e.Error == "server_error", e.Error == "temporarily_unavailable":
		return KindOutage
	case blocksDeviceCode(f, e.code()):
		return KindDeviceCodeBlocked
	case e.code() == codeConsentDeclined:
		return KindDeclined
	case e.Suberror == "consent_required", e.Error == "consent_required",
		slices.Contains([]int{codeUserConsent, codeAdminConsent, codeAdminConsentPending}, e.code()):
		return KindConsentRequired
	}
	switch e.Error {
	case "authorization_declined":
		return KindDeclined
	case "access_denied":
		if e.code() == 0 || e.Suberror == "cancel" {
			return KindDeclined
		}
		return KindBlocked
	case "expired_token", "bad_verification_code", "code_expired":
		return KindExpired
	case "invalid_grant", "interaction_required", "login_required":
		if e.code() == codeBlockedByPolicy || e.code() == codeBlockedBySecurityPolicy {
			return KindBlocked
		}
		return KindSignInRequired
	case "invalid_client", "unauthorized_client", "invalid_request", "invalid_scope", "invalid_resource",
		"invalid_target", "unsupported_grant_type", "unsupported_response_type":
		return KindMisconfigured
	case "":
		// No OAuth error at all: something other than the authority answered.
		return KindOutage
	}
	if e.Claims != "" {
		return KindSignInRequired
	}
	return KindFailed
}

// Why a browser may get further than a device code: the text that goes between
// "the organisation" and "sign in with a browser".
const (
	noCodeAllowed = "does not allow sign-in with a code"
	noDeviceSeen  = "asks for the state of the device, which a sign-in with a code does not tell"
)

// deviceCodeBlocks are the numbers with which policies turn sign-ins with a
// device code away, and why. Some of the policies turn away all else too; trying
// is the only way to find out (Microsoft: Conditional Access, Authentication
// flows and Device filters; security defaults).
var deviceCodeBlocks = map[int]string{
	50005:                       noDeviceSeen,  // the platform is unknown
	50097:                       noDeviceSeen,  // device authentication is required
	53000:                       noDeviceSeen,  // the device is not compliant
	53001:                       noDeviceSeen,  // the device is not joined
	codeBlockedByPolicy:         noCodeAllowed, // also if the policy is about device codes
	530002:                      noDeviceSeen,  // the device has to be compliant
	530003:                      noDeviceSeen,  // the device has to be managed
	530031:                      noCodeAllowed, // the older form of 53003
	codeBlockedBySecurityPolicy: noCodeAllowed,
	codeDeviceFlowUntold:        noDeviceSeen,
	530035:                      noCodeAllowed, // security defaults
	codeDeviceFlowTracked:       noCodeAllowed,
}

// blocksDeviceCode reports answers after which a browser may get further. Two of
// the numbers speak of device codes whenever they come.
func blocksDeviceCode(f flow, code int) bool {
	_, known := deviceCodeBlocks[code]
	return known && (f == flowDeviceCode || code == codeDeviceFlowUntold || code == codeDeviceFlowTracked)
}

// kindHints say what to do where the catalogue knows nothing more precise.
var kindHints = map[Kind]string{
	KindSignInRequired:    "Sign in again: mcpctl login URL",
	KindConsentRequired:   "Sign in again and accept the permissions, or ask an administrator to grant them for the organisation: mcpctl login URL",
	KindDeviceCodeBlocked: "Sign in with a browser: mcpctl login URL --browser",
	KindBlocked:           "A policy of the organisation forbids this sign-in: ask its administrator, naming the code and correlation id",
	KindDeclined:          "The sign-in was declined. To try again: mcpctl login URL",
	KindExpired:           "Nobody finished the sign-in in time. To try again: mcpctl login URL",
	KindMisconfigured:     "The app registration does not fit: ask whoever runs the MCP server, naming the code",
	KindThrottled:         "The authority asks to slow down: wait a few minutes and try again",
	KindOutage:            "Microsoft Entra, or something in between, is failing: try again in a minute",
	KindNetwork:           "Check the network connection, proxy and clock of this machine",
	KindBusy:              "Another mcpctl process holds the token store: try again in a moment",
}

// fill sets the kind, code, texts and hint of e from an error answer.
func (e *Error) fill(f flow, status int, body oauthError) {
	e.Status = status
	e.Kind = classify(f, status, body)
	e.OAuth = clip(redactDescription(body.Error))
	e.Suberror = clip(redactDescription(body.Suberror))
	if len(body.Claims) <= maxClaims {
		e.Claims = body.Claims
	}
	e.Description = redactDescription(body.Description)
	e.CorrelationID = clip(redactDescription(body.CorrelationID))
	if n := body.code(); n != 0 {
		e.Code = "AADSTS" + strconv.Itoa(n)
	}
	if e.Description == "" {
		e.Description = "the authority answered"
		if status != 0 {
			e.Description += " HTTP " + strconv.Itoa(status)
		}
		if e.OAuth != "" {
			e.Description += " " + e.OAuth
		}
	}
	e.Hint = kindHints[e.Kind]
	if e.Kind == KindDeviceCodeBlocked {
		e.NoCode = deviceCodeBlocks[body.code()]
		e.Hint = "The organisation " + e.NoCode + ". " + e.Hint
	}
	if entry, ok := e.entry(); ok {
		e.Hint = entry.Hint()
	}
	e.Hint = strings.TrimSuffix(e.Hint, ".")
}

// entry is what the catalogue has on e: on Entra's number, or else on OAuth's
// error where the kind says no more than that something is set up wrong.
func (e *Error) entry() (catalogue.Entry, bool) {
	if e.Kind == KindDeviceCodeBlocked {
		return catalogue.Entry{}, false // the other way of signing in is the answer
	}
	if entry, ok := catalogue.Lookup(e.Code); ok {
		return entry, true
	}
	if e.Kind != KindMisconfigured {
		return catalogue.Entry{}, false
	}
	return catalogue.Lookup(e.OAuth)
}
