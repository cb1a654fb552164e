package tokencache

import (
	"context"
	"errors"
	"runtime"

	"golang.org/x/sys/unix"
)

// kernelKeyStore keeps the key in kernel memory, for machines without a Secret
// Service. It is gone after a restart, or three days after its last use.
//
// The key goes to the user's persistent keyring, which outlives the last
// login session, or to the plain user keyring where the kernel has no
// persistent ones. See keyrings(7), persistent-keyring(7).
type kernelKeyStore struct {
	service string
	// attach makes the person's keyrings reachable and returns the one for
	// new keys; tests replace it to refuse like a container's seccomp filter.
	attach func() (ring int, err error)
}

func newKernelKeyStore(service string) keyStore {
	return &kernelKeyStore{service: service, attach: attachUserKeyrings}
}

const kernelKeyType = "user"

// attachUserKeyrings links the user's keyrings to the calling thread's own
// keyring. Reading a key takes possession of it, that is, a path to it from a
// keyring of this thread, process or session; a service's or an MCP client's
// session often has none to the user's.
func attachUserKeyrings() (ring int, err error) {
	ring, err = unix.KeyctlGetKeyringID(unix.KEY_SPEC_USER_KEYRING, true)
	if err != nil {
		return 0, err
	}
	const thread = unix.KEY_SPEC_THREAD_KEYRING
	// The special id, not the serial number, carries possession.
	if _, err := unix.KeyctlInt(unix.KEYCTL_LINK, unix.KEY_SPEC_USER_KEYRING, thread, 0, 0); err != nil {
		return 0, err
	}
	// Its absence is normal: kernels may lack CONFIG_PERSISTENT_KEYRINGS.
	if persistent, err := unix.KeyctlInt(unix.KEYCTL_GET_PERSISTENT, -1, thread, 0, 0); err == nil {
		ring = persistent
	}
	return ring, nil
}

func (s *kernelKeyStore) describe(id keyID) string { return s.service + ":" + id.account() }

// with runs op on one thread, whose keyring attach has filled.
func (s *kernelKeyStore) with(op func(ring int) error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ring, err := s.attach()
	if err != nil {
		return s.unavailable(err)
	}
	switch err := op(ring); {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOKEY), errors.Is(err, unix.EKEYEXPIRED), errors.Is(err, unix.EKEYREVOKED):
		return ErrKeyNotFound
	default:
		return s.unavailable(err)
	}
}

func (s *kernelKeyStore) unavailable(err error) error {
	return unavailable(BackendKernel, err, "containers often forbid it")
}

func (s *kernelKeyStore) get(_ context.Context, id keyID) (k *key, err error) {
	var text string
	err = s.with(func(int) error {
		serial, err := s.search(id)
		if err != nil {
			return err
		}
		buf := make([]byte, maxKeyFile)
		n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, serial, buf, 0)
		if err != nil {
			return err
		}
		text = string(buf[:min(n, len(buf))])
		return nil
	})
	if err != nil {
		return nil, err
	}
	return parseKey(id, text)
}

func (s *kernelKeyStore) set(_ context.Context, k *key) error {
	return s.with(func(ring int) error {
		_, err := unix.AddKey(kernelKeyType, s.describe(k.id), []byte(k.reveal()), ring)
		return err
	})
}

func (s *kernelKeyStore) delete(_ context.Context, id keyID) error {
	return s.with(func(int) error {
		serial, err := s.search(id)
		if err != nil {
			return err
		}
		// Invalidating removes the key from every keyring, at once.
		_, err = unix.KeyctlInt(unix.KEYCTL_INVALIDATE, serial, 0, 0, 0)
		return err
	})
}

func (s *kernelKeyStore) search(id keyID) (serial int, err error) {
	return unix.KeyctlSearch(unix.KEY_SPEC_THREAD_KEYRING, kernelKeyType, s.describe(id), 0)
}
