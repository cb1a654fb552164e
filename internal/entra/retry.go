package entra

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxAttempts counts the first try.
	maxAttempts = 3
	// maxRetryAfter is the longest wait that is worth keeping a caller for; a
	// longer Retry-After is reported instead of obeyed.
	maxRetryAfter = 10 * time.Second
)

// backoff decides whether a request may be sent again, and after how long.
func backoff(method string, resp *http.Response, err error, attempt int) (time.Duration, bool) {
	if attempt >= maxAttempts {
		return 0, false
	}
	wait := time.Duration(1<<(attempt-1)) * 300 * time.Millisecond
	wait += rand.N(wait / 2) //nolint:gosec // jitter is no secret
	idempotent := method == http.MethodGet || method == http.MethodHead
	if err != nil {
		return wait, notConnected(err) || (idempotent && worthRepeating(err))
	}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable:
	case resp.StatusCode >= 500 && idempotent:
	default:
		return 0, false
	}
	if asked := retryAfter(resp.Header, time.Now()); asked > 0 {
		return asked, asked <= maxRetryAfter
	}
	return wait, true
}

// notConnected reports a failure before the first byte of the request.
func notConnected(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" && worthRepeating(err)
}

// worthRepeating leaves out failures that a second attempt cannot change.
func worthRepeating(err error) bool {
	var cert *tls.CertificateVerificationError
	var untrusted *untrustedError
	return !errors.As(err, &cert) && !errors.As(err, &untrusted) && !errors.Is(err, context.Canceled)
}

// canWait reports whether ctx outlives a wait of d.
func canWait(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() == nil && (!ok || time.Until(deadline) > d)
}

// retryAfter reads the Retry-After header (RFC 9110 section 10.2.3): seconds
// or a date. 0 means that there is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.Atoi(value); err == nil {
		const aDay = 24 * 60 * 60
		return time.Duration(min(max(seconds, 0), aDay)) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}
