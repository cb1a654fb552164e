package entra

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

// An exchange records, for one operation of ours, what the authority really
// answered. MSAL drains error bodies, hides them behind text and puts tokens
// into that text; our errors are built from this record instead.
//
// It travels in the request's context, because MSAL offers no other way from
// a call to its requests. Safe for concurrent use.
type exchange struct {
	mu       sync.Mutex
	answer   *answer
	failure  error // the last transport failure, nil after an answer
	cacheErr error // what the token cache last reported
	pacer    *pacer
}

// An answer is what may be kept of a response: nothing secret.
type answer struct {
	status     int
	retryAfter time.Duration
	location   string // host of a redirect that was not followed
	oauth      oauthError
	json       bool
	granted    []string // scopes of a token response
	hasToken   bool
	hasExpiry  bool
}

type exchangeKey struct{}

func withExchange(ctx context.Context) (context.Context, *exchange) {
	ex := &exchange{}
	return context.WithValue(ctx, exchangeKey{}, ex), ex
}

// exchangeFrom returns the record of ctx, or nil.
func exchangeFrom(ctx context.Context) *exchange {
	ex, _ := ctx.Value(exchangeKey{}).(*exchange)
	return ex
}

func (ex *exchange) record(resp *http.Response, body []byte, err error) {
	if ex == nil {
		return
	}
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if err != nil {
		ex.answer, ex.failure = nil, err
		return
	}
	ex.answer, ex.failure = newAnswer(resp, body), nil
	if ex.pacer != nil {
		ex.pacer.answered(ex.answer.oauth.Error)
	}
}

func (ex *exchange) recordCache(err error) {
	if ex == nil {
		return
	}
	ex.mu.Lock()
	defer ex.mu.Unlock()
	ex.cacheErr = err
}

func (ex *exchange) setPacer(p *pacer) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	ex.pacer = p
}

// pace waits until the next poll is due, if this operation polls at all.
func (ex *exchange) pace(ctx context.Context) error {
	if ex == nil {
		return nil
	}
	ex.mu.Lock()
	p := ex.pacer
	var wait time.Duration
	if p != nil {
		wait = time.Until(p.next)
	}
	ex.mu.Unlock()
	return sleep(ctx, wait)
}

func (ex *exchange) snapshot() (*answer, error, error) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	return ex.answer, ex.failure, ex.cacheErr
}

// pending reports whether the last answer was that nobody has typed the code.
func (ex *exchange) pending() bool {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	return ex.answer != nil && (ex.answer.oauth.Error == "authorization_pending" || ex.answer.oauth.Error == "slow_down")
}

func newAnswer(resp *http.Response, body []byte) *answer {
	a := &answer{status: resp.StatusCode, retryAfter: retryAfter(resp.Header, time.Now()), json: json.Valid(body)}
	if location, err := resp.Location(); err == nil {
		a.location = location.Host
	}
	if resp.StatusCode != http.StatusOK {
		a.oauth = parseOAuthError(body)
		return a
	}
	var token struct {
		oauthError
		AccessToken json.RawMessage `json:"access_token"`
		Scope       string          `json:"scope"`
		ExpiresIn   json.RawMessage `json:"expires_in"`
		ExpiresOn   json.RawMessage `json:"expires_on"`
	}
	if json.Unmarshal(body, &token) == nil {
		a.oauth = token.oauthError
		a.hasToken = len(token.AccessToken) > 2
		a.hasExpiry = len(token.ExpiresIn) > 0 || len(token.ExpiresOn) > 0
		a.granted = strings.Fields(token.Scope)
	}
	return a
}

// A pacer spaces the polls of a device code sign-in (RFC 8628 section 3.5).
// MSAL ignores both the interval and slow_down. Guarded by its exchange.
type pacer struct {
	interval time.Duration
	next     time.Time
}

// slowDownStep is what RFC 8628 section 3.5 adds for each slow_down.
const slowDownStep = 5 * time.Second

func (p *pacer) answered(oauth string) {
	if oauth == "slow_down" {
		p.interval += slowDownStep
	}
	p.next = time.Now().Add(p.interval)
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
