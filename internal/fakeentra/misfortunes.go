package fakeentra

import (
	"net/http"
	"strconv"
	"time"
)

// Faults lists one fault of each kind, for tests that go through all of them.
func Faults() []Fault {
	all := []Fault{
		FaultPending(), FaultSlowDown(), FaultDeclined(), FaultCodeExpired(), FaultBadCode(), FaultPublicFlowsOff(),
		FaultProtocolTracked(), FaultRevoked(), FaultInactive(), FaultSignInFrequency(),
		FaultMFA(), FaultMFAEnrolment(), FaultDeviceAuthentication(), FaultNonCompliantDevice(), FaultConsentRequired(),
		FaultNotAssigned(), FaultUnknownResource(), FaultResourceNotListed(), FaultRequestLoop(),
		FaultThrottled(time.Second), FaultOutage(), FaultOutagePage(), FaultServerError(),
		FaultDropped(), FaultCaptivePortal(), FaultNoExpiresIn(), FaultDelay(time.Millisecond),
	}
	for _, form := range []BlockForm{BlockAccessDenied, BlockInvalidGrant, BlockSilent} {
		all = append(all, FaultDeviceCodeBlocked(form)...)
	}
	return all
}

// tokenFault answers the token endpoint with an error; grant may be empty.
func tokenFault(name, grant string, e *Error) Fault {
	return Fault{Name: name, Endpoint: EndpointToken, Grant: grant, Error: e}
}

// Polling for a device code.

// FaultPending keeps a device code pending, approved or not.
func FaultPending() Fault {
	return tokenFault("pending", GrantDeviceCode, failure("authorization_pending", 70016, "OAuth 2.0 device flow error. Authorization is pending. Continue polling."))
}

// FaultSlowDown asks the client to poll more slowly, RFC 8628 section 3.5.
// Entra doesn't document it.
func FaultSlowDown() Fault {
	return tokenFault("slow_down", GrantDeviceCode, failure("slow_down", 70016, "OAuth 2.0 device flow error. Polling too frequently."))
}

// FaultDeclined is a person who declined.
func FaultDeclined() Fault {
	return tokenFault("declined", GrantDeviceCode, errDeclined())
}

// FaultCodeExpired is a device code that ran out.
func FaultCodeExpired() Fault {
	return tokenFault("code expired", GrantDeviceCode, errCodeExpired())
}

// FaultBadCode is a device code that the authority doesn't know.
func FaultBadCode() Fault {
	return tokenFault("bad code", GrantDeviceCode, errUserCode())
}

// FaultPublicFlowsOff is an app registration without "allow public client flows".
func FaultPublicFlowsOff() Fault {
	return tokenFault("public flows off", "", errNoCredential())
}

// BlockForm is how a client learns that Conditional Access blocks device codes.
type BlockForm string

// The forms seen in reports. In each the person sees AADSTS53003 in the browser.
const (
	BlockAccessDenied BlockForm = "access_denied"
	BlockInvalidGrant BlockForm = "invalid_grant"
	BlockSilent       BlockForm = "pending" // the client polls until the code expires
)

// FaultDeviceCodeBlocked is a Conditional Access policy against device codes:
// one fault for the person's page and one for the client.
func FaultDeviceCodeBlocked(form BlockForm) []Fault {
	blocked := func(code string) *Error {
		return failure(code, 53003, "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.")
	}
	page := Fault{Name: "device code blocked, page", Endpoint: EndpointDevicePage, Method: http.MethodPost, Error: blocked("access_denied")}
	client := FaultPending()
	if form != BlockSilent {
		client = tokenFault("", GrantDeviceCode, blocked(string(form)))
	}
	client.Name = "device code blocked, " + string(form)
	return []Fault{page, client}
}

// Refreshing.

// FaultProtocolTracked is a policy against device codes that was added after
// the person signed in with one: every refresh of that session fails.
func FaultProtocolTracked() Fault {
	return tokenFault("protocol tracked", GrantRefreshToken, failure("invalid_grant", 530036,
		"Access has been blocked by Conditional Access policies. The access policy does not allow token issuance because the session was started with an authentication flow that is blocked."))
}

// FaultRevoked is a session ended by a password reset or an administrator.
func FaultRevoked() Fault {
	return tokenFault("revoked", GrantRefreshToken, errRevoked(sampleTime, sampleTime.Add(time.Hour)))
}

// FaultInactive is a refresh token unused for 90 days.
func FaultInactive() Fault {
	return tokenFault("inactive", GrantRefreshToken, errInactive(sampleTime, 90*24*time.Hour))
}

// FaultSignInFrequency is a policy that wants people to sign in more often.
func FaultSignInFrequency() Fault {
	return tokenFault("sign-in frequency", GrantRefreshToken, failure("invalid_grant", 70043,
		"The refresh token has expired or is invalid due to sign-in frequency checks by conditional access. The token was issued on %s and the maximum allowed lifetime for this request is 3600.", stamp(sampleTime)))
}

// FaultRequestLoop is Entra cutting off a client that asks again and again.
func FaultRequestLoop() Fault {
	return tokenFault("request loop", "", failure("invalid_grant", 50196,
		"The server terminated an operation because it encountered a client request loop. Please contact your app vendor."))
}

// Interaction required, with the claims challenge to hand on.

const sampleClaims = `{"access_token":{"acrs":{"essential":true,"values":["c1"]}}}`

func interaction(name string, aadsts int, sub, message string) Fault {
	e := failure("interaction_required", aadsts, "%s", message)
	e.SubError, e.Claims = sub, sampleClaims
	return tokenFault(name, "", e)
}

// FaultMFA asks for multi-factor authentication.
func FaultMFA() Fault {
	return interaction("mfa", 50076, "basic_action",
		"Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access the resource.")
}

// FaultMFAEnrolment asks the person to enrol for multi-factor authentication.
func FaultMFAEnrolment() Fault {
	return interaction("mfa enrolment", 50079, "basic_action",
		"Due to a configuration change made by your administrator, or because you moved to a new location, you must enroll in multi-factor authentication to access the resource.")
}

// FaultDeviceAuthentication asks for a registered device.
func FaultDeviceAuthentication() Fault {
	return interaction("device authentication", 50097, "additional_action", "Device authentication is required.")
}

// FaultNonCompliantDevice asks for a managed device.
func FaultNonCompliantDevice() Fault {
	return interaction("non-compliant device", 53000, "message_only",
		"Device is not in required device state: compliant. Conditional Access policy requires a compliant device, and the device is not compliant. The user must enroll their device with an approved MDM provider like Intune.")
}

// FaultConsentRequired is a missing consent.
func FaultConsentRequired() Fault {
	return tokenFault("consent required", "", errConsentRequired(&App{Name: "mcpctl", ClientID: SamplePublicClientID}))
}

// Registration mistakes.

// FaultNotAssigned is a person who may not use the API.
func FaultNotAssigned() Fault {
	return tokenFault("not assigned", "", errNotAssigned(&App{Name: "Contoso MCP server", ClientID: SampleAPIClientID}, &Person{UPN: "alan@contoso.example"}))
}

// FaultUnknownResource is an API without a service principal in the tenant.
func FaultUnknownResource() Fault {
	return tokenFault("unknown resource", "", errUnknownResource("api://"+SampleAPIClientID, SampleTenantID))
}

// FaultResourceNotListed is a client that lists no permission of the API.
func FaultResourceNotListed() Fault {
	return tokenFault("resource not listed", "", failure("invalid_resource", 650057, "Invalid resource. The client has requested access to a resource which is not listed in the requested permissions in the client's application registration. "+
		"Client app ID: %s(mcpctl). Resource value from request: api://%s. Resource app ID: %s. List of valid resources from app registration: %s.",
		SamplePublicClientID, SampleAPIClientID, SampleAPIClientID, GraphClientID))
}

// Trouble on the way. These meet every endpoint; narrow them with At or Endpoint.

// FaultThrottled is 429 with Retry-After, in whole seconds.
func FaultThrottled(retryAfter time.Duration) Fault {
	e := errThrottled()
	return Fault{Name: "throttled", Error: e, Header: http.Header{"Retry-After": {strconv.FormatInt(seconds(retryAfter), 10)}}}
}

// FaultOutage is 503 with an empty body.
func FaultOutage() Fault {
	return Fault{Name: "outage", Status: http.StatusServiceUnavailable}
}

// FaultOutagePage is 503 with a page of a gateway in front.
func FaultOutagePage() Fault {
	return Fault{Name: "outage page", Status: http.StatusServiceUnavailable, ContentType: "text/html",
		Body: "<html><head><title>Service Unavailable</title></head><body><h2>Our services aren't available right now</h2></body></html>"}
}

// FaultServerError is 500 with Entra's own error body.
func FaultServerError() Fault {
	e := failure("server_error", 90033, "A transient error has occurred. Please try again.")
	e.Status = http.StatusInternalServerError
	return Fault{Name: "server error", Error: e}
}

// FaultDropped closes the connection without an answer.
func FaultDropped() Fault {
	return Fault{Name: "dropped", Drop: true}
}

// FaultCaptivePortal is 200 with a page where JSON should be, as from a hotel's
// or a proxy's login.
func FaultCaptivePortal() Fault {
	return Fault{Name: "captive portal", Status: http.StatusOK, ContentType: "text/html",
		Body: "<html><body>Please accept the terms of this network.</body></html>"}
}

// FaultNoExpiresIn is a token response without expires_in. Clients that quote
// the response in their error leak the tokens.
func FaultNoExpiresIn() Fault {
	return Fault{Name: "no expires_in", Endpoint: EndpointToken, Edit: func(reply map[string]any) { delete(reply, "expires_in") }}
}

// FaultDelay makes the answer late.
func FaultDelay(d time.Duration) Fault {
	return Fault{Name: "delay", Delay: d}
}

// sampleTime stands in for dates inside scripted messages.
var sampleTime = time.Date(2026, time.January, 5, 9, 0, 0, 0, time.UTC)
