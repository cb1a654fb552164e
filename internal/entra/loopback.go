package entra

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxCallbackBody bounds the authority's answer in the browser's form.
	maxCallbackBody = 64 << 10
	// pageWait is how long the browser's tab waits to learn how it ended.
	pageWait = 30 * time.Second
	// callbackGrace bounds the shutdown of the listener.
	callbackGrace = 2 * time.Second
)

// A callback is the loopback listener to which the browser brings the
// authorization code. Anything that is not a well-formed answer carrying our
// state is turned away without ending the sign-in.
type callback struct {
	redirectURI string
	state       string
	host        string        // the authority's, to check iss
	replies     chan *reply   // taken once
	done        chan struct{} // closed when nobody waits any more
	server      *http.Server
	served      sync.WaitGroup
	once        sync.Once
}

// A reply is the authority's answer: a code or an error.
type reply struct {
	code    Secret
	failure oauthError
	outcome chan error
}

// finish tells the waiting browser tab how the sign-in ended.
func (r *reply) finish(err error) { r.outcome <- err }

// listenCallback listens on a free loopback port. Entra ignores the port of a
// registered http://localhost. Browsers try both address families for that
// name, so both are served where the machine has them.
func listenCallback(state, authorityHost string) (*callback, error) {
	v4, err := net.Listen("tcp4", "127.0.0.1:0")
	listeners := []net.Listener{v4}
	if err != nil {
		v6, err6 := net.Listen("tcp6", "[::1]:0")
		if err6 != nil {
			return nil, fmt.Errorf("listening on loopback for the browser: %w", err)
		}
		listeners = []net.Listener{v6}
	}
	port := listeners[0].Addr().(*net.TCPAddr).Port
	if err == nil {
		if v6, err := net.Listen("tcp6", net.JoinHostPort("::1", strconv.Itoa(port))); err == nil {
			listeners = append(listeners, v6)
		}
	}
	cb := &callback{
		redirectURI: "http://localhost:" + strconv.Itoa(port),
		state:       state,
		host:        authorityHost,
		replies:     make(chan *reply),
		done:        make(chan struct{}),
	}
	cb.server = &http.Server{
		Handler:           cb,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      pageWait + 5*time.Second,
		MaxHeaderBytes:    32 << 10,
	}
	for _, l := range listeners {
		cb.served.Go(func() { _ = cb.server.Serve(l) })
	}
	return cb, nil
}

// close stops listening and waits for what was started.
func (cb *callback) close() {
	cb.once.Do(func() {
		close(cb.done)
		ctx, cancel := context.WithTimeout(context.Background(), callbackGrace)
		defer cancel()
		if cb.server.Shutdown(ctx) != nil {
			_ = cb.server.Close()
		}
		cb.served.Wait()
	})
}

// wait returns the first answer that carries our state. opened is the outcome
// of opening the browser; success says nothing yet.
func (cb *callback) wait(ctx context.Context, opened <-chan error, limit time.Duration) (*reply, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case r := <-cb.replies:
			return r, nil
		case err := <-opened:
			if err != nil {
				return nil, fmt.Errorf("opening the browser: %w", err)
			}
			opened = nil
		case <-ctx.Done():
			return nil, &Error{Op: opSignIn, Kind: KindCanceled, cause: ctx.Err()}
		case <-timer.C:
			return nil, &Error{Op: opSignIn, Kind: KindExpired, Hint: kindHints[KindExpired],
				Description: fmt.Sprintf("nobody finished the sign-in in the browser within %s", limit)}
		}
	}
}

// ServeHTTP takes the answer as a form (response_mode=form_post) or a query.
func (cb *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		h.Set("Allow", "GET, POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxCallbackBody)
	answer, err := cb.parse(r)
	if err != nil {
		writePage(w, http.StatusBadRequest, page{Title: "Not the sign-in that mcpctl waits for", Text: err.Error()})
		return
	}
	select {
	case cb.replies <- answer:
	case <-r.Context().Done():
		return
	case <-cb.done:
		writePage(w, http.StatusConflict, page{Title: "Already answered", Text: "This sign-in is over. You can close this tab."})
		return
	}
	select {
	case err := <-answer.outcome:
		if err != nil {
			writePage(w, http.StatusOK, page{Title: "Sign-in failed", Text: err.Error()})
			return
		}
		writePage(w, http.StatusOK, page{Title: "You are signed in", Text: "You can close this tab."})
	case <-time.After(pageWait):
		writePage(w, http.StatusOK, page{Title: "Almost done", Text: "Return to mcpctl to see how it ended. You can close this tab."})
	}
}

// parse reads an answer and checks that it belongs to this sign-in.
func (cb *callback) parse(r *http.Request) (*reply, error) {
	if err := r.ParseForm(); err != nil {
		return nil, errors.New("the request could not be read")
	}
	get := r.Form.Get
	if r.Method == http.MethodPost {
		get = r.PostForm.Get
	}
	if subtle.ConstantTimeCompare([]byte(get("state")), []byte(cb.state)) != 1 {
		return nil, errors.New("the request does not carry the state of this sign-in")
	}
	// RFC 9207: an issuer, if given, must be the one that was asked.
	if iss := get("iss"); iss != "" && !sameHost(iss, cb.host) {
		return nil, errors.New("the answer comes from another authority")
	}
	answer := &reply{outcome: make(chan error, 1)}
	if failure := get("error"); failure != "" {
		answer.failure = oauthError{
			Error:       failure,
			Suberror:    get("error_subcode"),
			Description: get("error_description"),
		}
		return answer, nil
	}
	if get("code") == "" {
		return nil, errors.New("the answer holds neither a code nor an error")
	}
	answer.code = NewSecret(get("code"))
	return answer, nil
}

type page struct{ Title, Text string }

var pageTemplate = template.Must(template.New("page").Parse(strings.TrimSpace(`
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Title}} · mcpctl</title>
<style>body{font:1.1rem system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem;color-scheme:light dark}</style>
</head><body><h1>{{.Title}}</h1><p>{{.Text}}</p></body></html>
`)))

func writePage(w http.ResponseWriter, status int, p page) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = pageTemplate.Execute(w, p)
}
