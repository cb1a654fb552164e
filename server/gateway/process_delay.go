package gateway

import (
	"fmt"
	"time"
)

// startDelays hold back the next start of an upstream that keeps ending at
// once, by whom it is blamed on. The first failure is free: it may be the
// upstream's way of saying that it doesn't know a revision.
type startDelays map[string]failures

type failures struct {
	count int // in a row
	next  time.Time
}

const (
	quickEnd     = 10 * time.Second // a process that lived shorter has failed
	firstDelay   = time.Second
	longestDelay = 30 * time.Second
	maxDelays    = 10_000
)

// delayError says that an upstream is not started yet again.
type delayError struct {
	count int
	wait  time.Duration
}

func (e *delayError) Error() string {
	return fmt.Sprintf("the upstream has ended %d times right after its start; it is tried again in %s", e.count, e.wait)
}

func (d startDelays) check(key string) error {
	fail := d[key]
	if wait := time.Until(fail.next); wait > 0 {
		return &delayError{fail.count, max(wait.Round(time.Second), time.Second)}
	}
	return nil
}

func (d startDelays) failed(key string) {
	fail := d[key]
	if !fail.next.IsZero() && time.Since(fail.next) > 2*longestDelay {
		fail = failures{} // long ago
	}
	fail.count++
	fail.next = time.Now()
	if fail.count > 1 {
		fail.next = fail.next.Add(min(firstDelay<<min(fail.count-2, 10), longestDelay))
	}
	if len(d) >= maxDelays {
		d.tidy()
	}
	d[key] = fail
}

func (d startDelays) forget(key string) { delete(d, key) }

// tidy makes room, at the price of those delays that it can't keep.
func (d startDelays) tidy() {
	for key, fail := range d {
		if time.Since(fail.next) > 0 {
			delete(d, key)
		}
	}
	if len(d) >= maxDelays {
		clear(d)
	}
}
