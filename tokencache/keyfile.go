package tokencache

import (
	"context"
	"errors"
	"io/fs"
	"strings"
)

const (
	keyFileSuffix = ".key"
	keyFileGlob   = "token-key-*" + keyFileSuffix
	maxKeyFile    = 1 << 10
)

// fileKeyStore keeps the key beside the store. Only file permissions protect
// it, so it is used only when the person says so.
type fileKeyStore struct{ files files }

func (s fileKeyStore) name(id keyID) string { return id.account() + keyFileSuffix }

func (s fileKeyStore) get(_ context.Context, id keyID) (*key, error) {
	text, err := s.files.read(s.name(id), maxKeyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrKeyNotFound
	case err != nil:
		return nil, s.unavailable(err)
	}
	return parseKey(id, strings.TrimSpace(string(text)))
}

func (s fileKeyStore) set(_ context.Context, k *key) error {
	if err := s.files.replace(s.name(k.id), []byte(k.reveal()+"\n")); err != nil {
		return s.unavailable(err)
	}
	return nil
}

func (s fileKeyStore) delete(_ context.Context, id keyID) error {
	if err := s.files.remove(s.name(id)); err != nil {
		return s.unavailable(err)
	}
	return nil
}

func (s fileKeyStore) unavailable(err error) error {
	return unavailable(BackendFile, err, "check the permissions of "+s.files.dir)
}
