package tokencache

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
)

// The file is magic ‖ key id (8) ‖ nonce (12) ‖ ciphertext ‖ tag (16). Magic
// and key id are the additional data, so that no byte of the file can change
// unnoticed.
const (
	magic      = "mcpctl\x00\x01" // the last byte is the version of the format
	headerSize = len(magic) + keyIDSize
	sealExtra  = 12 + 16 // nonce and tag

	// maxStoreSize bounds what is read and written: about 400 times the cache
	// of three accounts with three resources each.
	maxStoreSize = 16 << 20
)

// damage is why a store can't be opened although everything that is needed to
// open it gave an answer.
type damage string

func (d damage) Error() string { return string(d) }

const (
	errEmpty     = damage("the file is empty")
	errTruncated = damage("the file is truncated")
	errForeign   = damage("the file was not written by mcpctl")
	errNewer     = damage("the file was written by a newer mcpctl")
	errTooLarge  = damage("the file is too large")
	errAltered   = damage("the file was altered, or its key is another one")
	errKeyLost   = damage("its key is lost")
	errBadKey    = damage("the stored key is damaged")
	errBadRecord = damage(recordName + " is damaged")
	errContent   = damage("its content is not a token cache")
)

// sealedBy returns the id of the key that raw, a whole file, was sealed with.
func sealedBy(raw []byte) (keyID, error) {
	version := len(magic) - 1
	switch {
	case len(raw) == 0:
		return keyID{}, errEmpty
	case len(raw) > maxStoreSize:
		return keyID{}, errTooLarge
	case !bytes.HasPrefix([]byte(magic[:version]), raw[:min(len(raw), version)]):
		return keyID{}, errForeign
	case len(raw) > version && raw[version] != magic[version]:
		return keyID{}, errNewer
	case len(raw) < headerSize+sealExtra:
		return keyID{}, errTruncated
	}
	return keyID(raw[len(magic):headerSize]), nil
}

// seal returns the file that holds blob. The nonce is random: one key writes
// far fewer than the 2³² files at which that would matter.
func seal(k *key, blob []byte) ([]byte, error) {
	if len(blob) > maxStoreSize-headerSize-sealExtra {
		return nil, errTooLarge
	}
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	header := append([]byte(magic), k.id[:]...)
	raw := make([]byte, headerSize, headerSize+sealExtra+len(blob))
	copy(raw, header)
	return aead.Seal(raw, nil, blob, header), nil
}

// unseal returns what seal was given.
func unseal(k *key, raw []byte) ([]byte, error) {
	id, err := sealedBy(raw)
	if err != nil {
		return nil, err
	}
	if id != k.id {
		return nil, errAltered
	}
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	blob, err := aead.Open(nil, nil, raw[headerSize:], raw[:headerSize])
	if err != nil {
		return nil, errAltered
	}
	return blob, nil
}

// aead prepends the nonce to what it seals.
func (k *key) aead() (cipher.AEAD, error) {
	secret := k.secret()
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		return nil, fmt.Errorf("preparing cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("preparing cipher: %w", err)
	}
	return aead, nil
}
