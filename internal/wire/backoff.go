package wire

import (
	"math/rand/v2"
	"time"
)

// backoff counts failed attempts in a row and says how long to wait: doubling
// pauses with jitter, so that many clients of one server don't come back at
// the same moment.
type backoff struct {
	first, longest time.Duration
	failed         int
}

func (b *backoff) reset() { b.failed = 0 }

func (b *backoff) next() time.Duration {
	d := b.first << min(b.failed, 16)
	if d <= 0 || d > b.longest {
		d = b.longest
	}
	b.failed++
	return d/2 + rand.N(d/2+1) //nolint:gosec // jitter is no secret
}
