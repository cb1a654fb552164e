package auth

import (
	"context"
	"errors"
	"fmt"
)

// Observer is told what happens, for metrics. Functions may be nil; they are
// called concurrently and must not wait.
type Observer struct {
	// Verified is told of each token that was judged: "cached" when it was seen
	// before, "cold" when it was examined and good, "refused", or "unavailable"
	// when it could not be judged.
	Verified func(result string)
	// Fetched is told of each attempt to fetch signing keys.
	Fetched func(error)
}

func (o Observer) verified(result string) {
	if o.Verified != nil {
		o.Verified(result)
	}
}

func (o Observer) examined(err error) {
	var refusal *Refusal
	switch {
	case err == nil:
		o.verified("cold")
	case errors.As(err, &refusal):
		o.verified("refused")
	default:
		o.verified("unavailable")
	}
}

// KeysHeld says why tokens of some tenant can't be judged now, nil where those
// of all can: with fresh keys or the last known good. It answers at once; what
// is missing is fetched in the background. The error names no address.
func (v *Verifier) KeysHeld() error {
	now := v.now()
	missing, failing := 0, 0
	for _, tenant := range v.tenants {
		usable, failed := false, false
		for _, version := range []tokenVersion{v1, v2} {
			source := v.keys.sources[keySetID{tenant, version}]
			if source.current.Load().usable(now) {
				usable = true
				continue
			}
			_, _ = source.refresh(now, false) // too early after a failure is told below
			source.mu.Lock()
			failed = failed || source.lastErr != nil
			source.mu.Unlock()
		}
		switch {
		case usable:
		case failed:
			failing++
		default:
			missing++
		}
	}
	switch {
	case failing > 0:
		return fmt.Errorf("the signing keys of %d of %d tenants can't be fetched", failing, len(v.tenants))
	case missing > 0:
		return fmt.Errorf("the signing keys of %d of %d tenants are being fetched", missing, len(v.tenants))
	}
	return nil
}

// FetchKeys fetches the keys of every tenant now, and returns why some can't be
// had, one error for each.
func (v *Verifier) FetchKeys(ctx context.Context) error {
	var errs []error
	for _, tenant := range v.tenants {
		for _, version := range []tokenVersion{v1, v2} {
			source := v.keys.sources[keySetID{tenant, version}]
			fetch, err := source.refresh(v.now(), false)
			if errors.Is(err, errUnknownKey) {
				continue // fetched just now
			}
			if err == nil {
				select {
				case <-fetch.done:
					err = fetch.err
				case <-ctx.Done():
					return errors.Join(append(errs, ctx.Err())...)
				}
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("fetching the signing keys of tenant %s for %s tokens: %w", tenant, version, err))
			}
		}
	}
	return errors.Join(errs...)
}
