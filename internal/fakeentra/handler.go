package fakeentra

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Endpoint names an endpoint in the request log and in faults.
type Endpoint string

// The endpoints.
const (
	EndpointInstance   Endpoint = "instance"   // instance discovery
	EndpointDiscovery  Endpoint = "discovery"  // openid-configuration
	EndpointKeys       Endpoint = "keys"       // signing keys
	EndpointDeviceCode Endpoint = "devicecode" // device authorization
	EndpointDevicePage Endpoint = "devicepage" // where a person enters the code
	EndpointAuthorize  Endpoint = "authorize"  // the sign-in page
	EndpointToken      Endpoint = "token"
	EndpointError      Endpoint = "error" // where error_uri points
	EndpointHome       Endpoint = "home"
)

// exchange is one request on its way through the server.
type exchange struct {
	s           *Server
	w           http.ResponseWriter
	r           *http.Request
	now         time.Time
	form        url.Values // query and body; token endpoint: body alone
	entry       Request
	logged      bool
	trace       string
	correlation string
	fault       *Fault // the fault that edits the answer, if any
}

// handler answers an exchange or returns the error to send.
type handler func(x *exchange) *Error

// document makes a handler of a function that returns what to send as JSON.
// The function runs under s.mu; the sending doesn't.
func document(f func(x *exchange) (any, *Error)) handler {
	return func(x *exchange) *Error {
		doc, refusal := x.locked(f)
		if refusal != nil {
			return refusal
		}
		body, err := json.Marshal(doc)
		if err != nil {
			return errInternal(err)
		}
		x.writeJSON(http.StatusOK, body)
		return nil
	}
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(endpoint Endpoint, h handler, patterns ...string) {
		for _, p := range patterns {
			mux.HandleFunc(p, s.serve(endpoint, h))
		}
	}
	handle(EndpointInstance, document((*exchange).instance), "/common/discovery/instance")
	handle(EndpointDiscovery, document((*exchange).discoveryV2), "/{tenant}/v2.0/.well-known/openid-configuration")
	handle(EndpointDiscovery, document((*exchange).discoveryV1), "/{tenant}/.well-known/openid-configuration")
	handle(EndpointKeys, document((*exchange).keysV2), "/{tenant}/discovery/v2.0/keys")
	handle(EndpointKeys, document((*exchange).keysV1), "/{tenant}/discovery/keys")
	handle(EndpointDeviceCode, document((*exchange).deviceCode), "/{tenant}/oauth2/v2.0/devicecode")
	handle(EndpointToken, document((*exchange).token), "/{tenant}/oauth2/v2.0/token")
	handle(EndpointAuthorize, (*exchange).authorize, "/{tenant}/oauth2/v2.0/authorize")
	handle(EndpointDevicePage, (*exchange).devicePage, "/{tenant}/oauth2/deviceauth", "/devicelogin")
	handle(EndpointError, (*exchange).explain, "/error")
	handle(EndpointHome, (*exchange).home, "/{$}")
	return mux
}

// locked calls f under s.mu, released even if f panics: net/http recovers.
func (x *exchange) locked(f func(x *exchange) (any, *Error)) (any, *Error) {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	return f(x)
}

// serve turns a handler into a http.HandlerFunc: it counts the request as
// running, bounds its body, reads its form, applies faults, logs.
func (s *Server) serve(endpoint Endpoint, h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.enter() {
			panic(http.ErrAbortHandler)
		}
		defer s.running.Done()

		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		x := s.newExchange(endpoint, w, r)
		x.headers()
		if err := x.readForm(); err != nil {
			x.refuse(err)
			return
		}
		if x.applyFault() {
			return
		}
		if err := x.checkTenant(); err != nil {
			x.refuse(err)
			return
		}
		if err := h(x); err != nil {
			x.refuse(err)
		}
	}
}

// enter registers a running handler unless the server is closing.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Add(1)
	return true
}

func (s *Server) newExchange(endpoint Endpoint, w http.ResponseWriter, r *http.Request) *exchange {
	s.mu.Lock()
	now := s.clock()
	s.mu.Unlock()
	x := &exchange{s: s, w: w, r: r, now: now, trace: newGUID(), correlation: r.Header.Get("client-request-id")}
	if !isGUID(x.correlation) {
		x.correlation = newGUID()
	}
	x.entry = Request{Time: now, Method: r.Method, Endpoint: endpoint, CorrelationID: x.correlation}
	return x
}

// headers sets what every answer of Entra carries.
func (x *exchange) headers() {
	h := x.w.Header()
	h.Set("Date", x.now.UTC().Format(http.TimeFormat))
	switch x.entry.Endpoint {
	case EndpointDiscovery, EndpointInstance, EndpointKeys:
		h.Set("Cache-Control", "max-age=86400, private")
		h.Set("Access-Control-Allow-Origin", "*")
	default:
		h.Set("Cache-Control", "no-store, no-cache")
		h.Set("Pragma", "no-cache")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "strict-origin")
	h.Set("x-ms-request-id", x.trace)
	h.Set("client-request-id", x.correlation)
}

// readForm reads parameters. A secret in a query must not count, so back
// channels read the body alone; the sign-in page keeps request and choice apart.
func (x *exchange) readForm() *Error {
	if err := x.r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			e := failure("invalid_request", 9002313, "Invalid request. Request is malformed or invalid.")
			e.Status = http.StatusRequestEntityTooLarge
			return e
		}
		return failure("invalid_request", 9002313, "Invalid request. Request is malformed or invalid.")
	}
	switch x.entry.Endpoint {
	case EndpointToken, EndpointDeviceCode:
		x.form = x.r.PostForm
	case EndpointAuthorize:
		x.form = x.r.URL.Query()
	default:
		x.form = x.r.Form
	}
	x.entry.ClientID = clip(x.form.Get("client_id"))
	if x.entry.Endpoint == EndpointToken {
		x.entry.Grant = clip(grantOf(x.form))
	}
	return nil
}

// checkTenant accepts the tenant by GUID or domain, and the two aliases that
// stand for any organisation.
func (x *exchange) checkTenant() *Error {
	switch t := x.r.PathValue("tenant"); strings.ToLower(t) {
	case "", x.s.tenant, x.s.domain, "common", "organizations":
		return nil
	default:
		if !isGUID(t) && !strings.Contains(t, ".") {
			return failure("invalid_request", 900023, "Specified tenant identifier '%s' is neither a valid DNS name, nor a valid external domain.", t)
		}
		return failure("invalid_tenant", 90002, "Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. "+
			"Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.", t)
	}
}

// post refuses other methods the way Entra words it.
func (x *exchange) post() *Error {
	if x.r.Method == http.MethodPost {
		return nil
	}
	return failure("invalid_request", 900561, "The endpoint only accepts POST requests. Received a %s request.", x.r.Method)
}

// refuse sends an error: a page where a person looks, else JSON.
func (x *exchange) refuse(e *Error) {
	switch x.entry.Endpoint {
	case EndpointAuthorize, EndpointDevicePage, EndpointError, EndpointHome:
		x.writeErrorPage(e)
	default:
		x.writeError(e)
	}
}

func (x *exchange) writeJSON(status int, body []byte) {
	if status >= http.StatusBadRequest {
		x.w.Header().Set("Cache-Control", "no-store, no-cache")
	}
	x.write(status, "application/json; charset=utf-8", body)
}

// write sends the answer and logs it first, so that whoever sees the answer
// finds it in the log.
func (x *exchange) write(status int, contentType string, body []byte) {
	x.record(status)
	if contentType != "" {
		x.w.Header().Set("Content-Type", contentType)
	}
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body) // the client may be gone; nobody is left to tell
}
