package tokencache

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/zalando/go-keyring"
)

// Keyring is the OS keyring as the cache uses it. Get and Delete return
// [ErrKeyNotFound] when there is no such entry. Calls may block.
type Keyring interface {
	Get(service, account string) (string, error)
	Set(service, account, secret string) error
	Delete(service, account string) error
}

// SystemKeyring is the OS keyring: Credential Manager on Windows, Keychain on
// macOS, Secret Service elsewhere.
func SystemKeyring() Keyring { return systemKeyring{findBus: findSessionBus} }

type systemKeyring struct {
	// findBus fails if a call would have nobody to talk to.
	findBus func() error
}

func (s systemKeyring) Get(service, account string) (secret string, err error) {
	err = s.call(func() error { secret, err = keyring.Get(service, account); return err })
	return secret, err
}

func (s systemKeyring) Set(service, account, secret string) error {
	return s.call(func() error { return keyring.Set(service, account, secret) })
}

func (s systemKeyring) Delete(service, account string) error {
	return s.call(func() error { return keyring.Delete(service, account) })
}

func (s systemKeyring) call(op func() error) error {
	if err := s.findBus(); err != nil {
		return err
	}
	err := op()
	if errors.Is(err, keyring.ErrNotFound) {
		return ErrKeyNotFound
	}
	return err
}

const defaultKeyringTimeout = 3 * time.Second

var (
	errBlocked = errors.New("it did not answer in time")
	errStuck   = errors.New("it still does not answer")
)

// osKeyStore bounds each call to a [Keyring].
//
// A call that blocks can't be ended: on Linux a locked collection waits for a
// person to answer a prompt, for ever. Its goroutine is left behind and ends
// when the prompt is answered, or with the process. There is never more than
// one: while it hangs, further calls fail at once.
type osKeyStore struct {
	ring    Keyring
	service string
	timeout time.Duration
	slot    chan struct{} // holds one token per call in progress, so one at most
	late    atomic.Bool   // the call in progress was given up
}

func newOSKeyStore(ring Keyring, service string, timeout time.Duration) *osKeyStore {
	if ring == nil {
		ring = SystemKeyring()
	}
	if timeout <= 0 {
		timeout = defaultKeyringTimeout
	}
	return &osKeyStore{ring: ring, service: service, timeout: timeout, slot: make(chan struct{}, 1)}
}

func (s *osKeyStore) get(ctx context.Context, id keyID) (*key, error) {
	text := make(chan string, 1)
	err := s.call(ctx, func() error {
		got, err := s.ring.Get(s.service, id.account())
		text <- got
		return err
	})
	if err != nil {
		return nil, err
	}
	return parseKey(id, <-text)
}

func (s *osKeyStore) set(ctx context.Context, k *key) error {
	return s.call(ctx, func() error { return s.ring.Set(s.service, k.id.account(), k.reveal()) })
}

func (s *osKeyStore) delete(ctx context.Context, id keyID) error {
	return s.call(ctx, func() error { return s.ring.Delete(s.service, id.account()) })
}

func (s *osKeyStore) call(ctx context.Context, op func() error) error {
	timer := time.NewTimer(s.timeout)
	defer timer.Stop()
	if err := s.begin(ctx, timer.C); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		err := op()
		s.late.Store(false)
		<-s.slot
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil || errors.Is(err, ErrKeyNotFound) {
			return err
		}
		return s.unavailable(err)
	case <-timer.C:
		s.late.Store(true)
		return s.unavailable(fmt.Errorf("%w (%v)", errBlocked, s.timeout))
	case <-ctx.Done():
		return fmt.Errorf("asking the %v: %w", BackendKeyring, ctx.Err())
	}
}

// begin waits until no other call is in progress, unless that one hangs.
func (s *osKeyStore) begin(ctx context.Context, timeout <-chan time.Time) error {
	select {
	case s.slot <- struct{}{}:
		return nil
	default:
	}
	if s.late.Load() {
		return s.unavailable(errStuck)
	}
	select {
	case s.slot <- struct{}{}:
		return nil
	case <-timeout:
		s.late.Store(true)
		return s.unavailable(errStuck)
	case <-ctx.Done():
		return fmt.Errorf("asking the %v: %w", BackendKeyring, ctx.Err())
	}
}

// unavailable keeps err in the chain: what was only given up may yet happen.
func (s *osKeyStore) unavailable(err error) error {
	return unavailable(BackendKeyring, err, "make sure that it runs and is unlocked, then try again")
}
