package tokencache

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

const (
	keySize   = 32 // AES-256
	keyIDSize = 8
	redacted  = "[redacted]"
)

// keyID names a key. It is random and not secret: the file's header, the
// record and the account name in the keyring carry it.
type keyID [keyIDSize]byte

func (id keyID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText implements [encoding.TextMarshaler].
func (id keyID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts exactly the
// 16 lower-case digits that MarshalText writes, since an id becomes part of a
// file name.
func (id *keyID) UnmarshalText(text []byte) error {
	var parsed keyID
	if hex.DecodedLen(len(text)) != keyIDSize || len(text) != 2*keyIDSize {
		return errors.New("key id is not 16 hexadecimal digits")
	}
	if _, err := hex.Decode(parsed[:], text); err != nil || parsed.String() != string(text) {
		return errors.New("key id is not 16 hexadecimal digits")
	}
	*id = parsed
	return nil
}

// account is the name of the key's entry in a key store. It is made of the id
// so that a new key never overwrites one that a file still needs.
func (id keyID) account() string { return "token-key-" + id.String() }

// key seals and opens the store. It prints as "[redacted]" with every verb and
// in every log. The secret is behind a function because package fmt looks into
// unexported fields without asking their methods: of a function it prints the
// address.
type key struct {
	id     keyID
	secret func() [keySize]byte
}

func newKey() *key {
	var id keyID
	var secret [keySize]byte
	// crypto/rand.Read never fails since Go 1.24; it ends the process instead.
	_, _ = rand.Read(id[:])
	_, _ = rand.Read(secret[:])
	return &key{id: id, secret: func() [keySize]byte { return secret }}
}

// reveal returns the text that key stores keep: 43 characters, far below the
// 2,560 bytes of Windows and the 3,000 of macOS.
func (k *key) reveal() string {
	secret := k.secret()
	return base64.RawStdEncoding.EncodeToString(secret[:])
}

// parseKey reads what reveal wrote.
func parseKey(id keyID, text string) (*key, error) {
	// The error of DecodeString would name a byte of the secret's text.
	decoded, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil || len(decoded) != keySize {
		return nil, errBadKey
	}
	secret := [keySize]byte(decoded)
	return &key{id: id, secret: func() [keySize]byte { return secret }}, nil
}

// String implements [fmt.Stringer].
func (k *key) String() string { return redacted }

// GoString implements [fmt.GoStringer].
func (k *key) GoString() string { return redacted }

// Format implements [fmt.Formatter]: without it, %d or %x print the bytes.
func (k *key) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, redacted) }

// LogValue implements [slog.LogValuer].
func (k *key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler].
func (k *key) MarshalText() ([]byte, error) { return []byte(redacted), nil }
