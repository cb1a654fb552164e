package fakeentra

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Error is an OAuth error as Entra words it. The trace id, correlation id and
// timestamp are added when it is sent.
type Error struct {
	Status   int    // HTTP status; 400 if 0
	Code     string // "invalid_grant"
	AADSTS   int    // 65001
	Message  string // the description without "AADSTS65001: " and the trailing ids
	SubError string // "consent_required"; rarely present
	Claims   string // a claims challenge in JSON; rarely present
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("AADSTS%d: %s", e.AADSTS, e.Message) }

func failure(code string, aadsts int, format string, args ...any) *Error {
	return &Error{Code: code, AADSTS: aadsts, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) status() int {
	if e.Status == 0 {
		return http.StatusBadRequest
	}
	return e.Status
}

// errorBody is Entra's, in its order of fields.
type errorBody struct {
	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes"`
	Timestamp     string `json:"timestamp"`
	TraceID       string `json:"trace_id"`
	CorrelationID string `json:"correlation_id"`
	URI           string `json:"error_uri"`
	SubError      string `json:"suberror,omitempty"`
	Claims        string `json:"claims,omitempty"`
}

func (x *exchange) errorBody(e *Error) errorBody {
	at := x.now.UTC().Format("2006-01-02 15:04:05Z")
	return errorBody{
		Error: e.Code,
		Description: fmt.Sprintf("AADSTS%d: %s Trace ID: %s Correlation ID: %s Timestamp: %s",
			e.AADSTS, e.Message, x.trace, x.correlation, at),
		Codes:         []int{e.AADSTS},
		Timestamp:     at,
		TraceID:       x.trace,
		CorrelationID: x.correlation,
		URI:           fmt.Sprintf("%s/error?code=%d", x.s.base, e.AADSTS),
		SubError:      e.SubError,
		Claims:        e.Claims,
	}
}

func (x *exchange) writeError(e *Error) {
	x.entry.AADSTS = e.AADSTS
	body, err := json.Marshal(x.errorBody(e))
	if err != nil {
		panic(err) // strings and ints always marshal
	}
	x.writeJSON(e.status(), body)
}

// The refusals that several places share.

func errMissing(parameter string) *Error {
	return failure("invalid_request", 900144, "The request body must contain the following parameter: '%s'.", parameter)
}

func errUnknownClient(id, tenant string) *Error {
	return failure("unauthorized_client", 700016, "Application with identifier '%s' was not found in the directory '%s'. "+
		"This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. "+
		"You may have sent your authentication request to the wrong tenant.", id, tenant)
}

func errUnknownResource(id, tenant string) *Error {
	return failure("invalid_resource", 500011, "The resource principal named %s was not found in the tenant named %s. "+
		"This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. "+
		"You might have sent your authentication request to the wrong tenant.", id, tenant)
}

func errUnknownScope(client *App, scope, resource string) *Error {
	return failure("invalid_client", 650053, "The application '%s' asked for scope '%s' that doesn't exist on the resource '%s'. Contact the app vendor.",
		client.Name, scope, resource)
}

func errNotAssigned(api *App, p *Person) *Error {
	return failure("invalid_grant", 50105, "Your administrator has configured the application %s ('%s') to block users unless they are specifically granted ('assigned') access to the application. "+
		"The signed in user '%s' is blocked because they are not a direct member of a group with access, nor had access directly assigned by an administrator. "+
		"Please contact your administrator to assign access to this application.", api.Name, api.ClientID, p.UPN)
}

func errConsentRequired(client *App) *Error {
	e := failure("invalid_grant", 65001, "The user or administrator has not consented to use the application with ID '%s' named '%s'. "+
		"Send an interactive authorization request for this user and resource.", client.ClientID, client.Name)
	e.SubError = "consent_required"
	return e
}

func errSelfToken(client *App) *Error {
	return failure("invalid_request", 90009, "Application '%s'(%s) is requesting a token for itself. "+
		"This scenario is supported only if resource is specified using the GUID based App Identifier.", client.ClientID, client.Name)
}

func errRevoked(issued, validFrom time.Time) *Error {
	e := failure("invalid_grant", 50173, "The provided grant has expired due to it being revoked, a fresh auth token is needed. "+
		"The user might have changed or reset their password. The grant was issued on '%s' and the TokensValidFrom date (before which tokens are not valid) for this user is '%s'.",
		stamp(issued), stamp(validFrom))
	e.SubError = "bad_token"
	return e
}

func errInactive(issued time.Time, life time.Duration) *Error {
	return failure("invalid_grant", 700082, "The refresh token has expired due to inactivity. The token was issued on %s and was inactive for %s.",
		stamp(issued), dotNetSpan(life))
}

// stamp writes a time as Entra does inside messages.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }

// dotNetSpan writes a duration as .NET does: 90.00:00:00.
func dotNetSpan(d time.Duration) string {
	day := 24 * time.Hour
	return fmt.Sprintf("%d.%02d:%02d:%02d", d/day, d%day/time.Hour, d%time.Hour/time.Minute, d%time.Minute/time.Second)
}

// errInternal is a defect of ours in Entra's words for one of theirs.
func errInternal(err error) *Error {
	e := failure("server_error", 90033, "A transient error has occurred. Please try again. (%v)", err)
	e.Status = http.StatusInternalServerError
	return e
}
