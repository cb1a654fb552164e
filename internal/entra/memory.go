package entra

import (
	"errors"
	"time"
)

// memoryLimit is how long a token from the cache is used without reading the
// cache again: short enough for a sign-out elsewhere to count at once, long
// enough for a busy relay not to decrypt a file for each message.
const memoryLimit = time.Second

func (c *Client) remembered() (AccessToken, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	age := now.Sub(c.memoryAt)
	return c.memory, !c.memory.Value.IsZero() && age >= 0 && age < memoryLimit && now.Before(c.memory.ExpiresOn)
}

func (c *Client) remember(token AccessToken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.memory, c.memoryAt = token, c.now()
}

func (c *Client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.memory = AccessToken{}
}

const (
	// failureLimit is how long a failed refresh is not repeated: requests that
	// queue behind it fail with it instead of each asking again, which Entra
	// answers with a block (AADSTS50196).
	failureLimit = 3 * time.Second
	// aheadLimit bounds a refresh ahead of time, which delays a request that
	// already has a valid token; aheadPause is the time between attempts.
	aheadLimit = 5 * time.Second
	aheadPause = time.Minute
	// maxFailureLimit bounds what the authority can ask for.
	maxFailureLimit = time.Minute
	// aheadOfTime stands for the claims of a refresh ahead of time.
	aheadOfTime = "ahead"
)

// A failedRefresh is the outcome of the last refresh that failed.
type failedRefresh struct {
	claims string
	err    *Error
	until  time.Time
}

// recentFailure returns the failure that the same request would meet again.
func (c *Client) recentFailure(claims string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed.err == nil || c.failed.claims != claims || !c.now().Before(c.failed.until) {
		return nil
	}
	return c.failed.err
}

// noteFailure remembers a failed refresh; success forgets it.
func (c *Client) noteFailure(claims string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var e *Error
	if !errors.As(err, &e) || e.Kind == KindCanceled || e.Kind == KindStore {
		c.failed = failedRefresh{}
		return
	}
	pause := failureLimit
	if claims == aheadOfTime {
		pause = aheadPause
	}
	pause = min(max(pause, e.RetryAfter), maxFailureLimit)
	c.failed = failedRefresh{claims: claims, err: e, until: c.now().Add(pause)}
}
