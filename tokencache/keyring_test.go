package tokencache

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// blockingRing answers when answer is closed.
type blockingRing struct {
	*ring
	calls  atomic.Int32
	answer chan struct{}
}

func (r *blockingRing) Get(service, account string) (string, error) {
	r.calls.Add(1)
	<-r.answer
	return r.ring.Get(service, account)
}

func TestBlockedKeyring(t *testing.T) {
	opts, r := options(t)
	signIn(t, opts, ModeKeyring, "tokens")
	synctest.Test(t, func(t *testing.T) {
		blocked := &blockingRing{ring: r, answer: make(chan struct{})}
		opts.Keyring = blocked
		c := open(t, opts)
		start := time.Now()
		_, err := read(t, c)
		distinct(t, err, ErrKeyringUnavailable)
		if waited := time.Since(start); waited != 3*time.Second {
			t.Errorf("waited %v", waited)
		}
		// While that call hangs, nobody waits again and no call is added.
		for range 10 {
			_, err := read(t, c)
			distinct(t, err, ErrKeyringUnavailable)
		}
		if waited := time.Since(start); waited != 3*time.Second || blocked.calls.Load() != 1 {
			t.Errorf("waited %v, %d calls", waited, blocked.calls.Load())
		}
		// The person unlocks the keyring: the same process goes on.
		close(blocked.answer)
		synctest.Wait()
		wantRead(t, c, "tokens")
	})
}

func TestKeyringWaitEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blocked := &blockingRing{ring: newRing(), answer: make(chan struct{})}
		s := newOSKeyStore(blocked, "mcpctl", 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.get(ctx, keyID{})
		distinct(t, err, nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
		// That call was only left, not given up: the next one waits for it.
		time.AfterFunc(time.Second, func() { close(blocked.answer) })
		if _, err := s.get(t.Context(), keyID{}); !errors.Is(err, ErrKeyNotFound) {
			t.Errorf("error is %v", err)
		}
	})
}

// A key that may still arrive in a keyring that blocks must not be forgotten.
func TestLogoutKnowsOfALateKey(t *testing.T) {
	opts, r := options(t)
	synctest.Test(t, func(t *testing.T) {
		late := &lateRing{ring: r, answer: make(chan struct{})}
		inner := opts
		inner.Keyring = late
		_, err := OpenForLogin(t.Context(), inner, ModeKeyring)
		distinct(t, err, ErrNoKeyring)
		close(late.answer) // the person answers the prompt after all
		synctest.Wait()
	})
	if r.len() != 1 {
		t.Fatalf("%d keys in the keyring, want the late one", r.len())
	}
	if err := Erase(t.Context(), opts); err != nil || r.len() != 0 {
		t.Errorf("%d keys are left: %v", r.len(), err)
	}
}

// Keys that may still arrive are counted, and the one in use is never given up
// for them.
func TestLateKeysAreBounded(t *testing.T) {
	opts, r := options(t)
	signIn(t, opts, ModeFile, "tokens")
	synctest.Test(t, func(t *testing.T) {
		late := &lateRing{ring: r, answer: make(chan struct{})}
		inner := opts
		inner.Keyring = late
		for range 2 * maxRecordKeys {
			_, err := OpenForLogin(t.Context(), inner, ModeKeyring)
			distinct(t, err, ErrNoKeyring)
		}
		close(late.answer)
		synctest.Wait()
	})
	if r.len() >= maxRecordKeys {
		t.Errorf("%d keys in the keyring", r.len())
	}
	wantRead(t, open(t, opts), "tokens")
	if err := Erase(t.Context(), opts); err != nil || r.len() != 0 {
		t.Errorf("%d keys are left: %v", r.len(), err)
	}
}

type lateRing struct {
	*ring
	answer chan struct{}
}

func (r *lateRing) Set(service, account, secret string) error {
	<-r.answer
	return r.ring.Set(service, account, secret)
}

// forgetfulRing says that it has stored what it has not, as macOS's security
// command does.
type forgetfulRing struct{ *ring }

func (forgetfulRing) Set(string, string, string) error { return nil }

func TestKeyIsReadBack(t *testing.T) {
	opts, r := options(t)
	opts.Keyring = forgetfulRing{r}
	_, err := OpenForLogin(t.Context(), opts, ModeKeyring)
	distinct(t, err, ErrNoKeyring)
}
