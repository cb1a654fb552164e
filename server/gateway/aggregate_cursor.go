package gateway

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
)

// cursorSeal makes cursors of merged lists out of those of the upstreams.
// Clients hold them and can't change them.
type cursorSeal struct{ key []byte }

// listCursor is what a merged list's cursor says.
type listCursor struct {
	Method  string            `json:"m"`
	Cursors map[string]string `json:"c"` // by upstream; without those that are done
}

const (
	cursorMAC = 16 // bytes of the code kept
	// maxSealed bounds a cursor that clients send back: in base64, with room for
	// JSON's escapes.
	maxSealed = 2 * maxUpstreams * maxCursor
)

var errCursor = errors.New("invalid cursor")

func newCursorSeal(key []byte) cursorSeal {
	if key == nil {
		key = make([]byte, 32)
		_, _ = rand.Read(key) // never fails
	}
	return cursorSeal{key}
}

func (s cursorSeal) code(payload []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte("list cursor\n"))
	mac.Write(payload)
	return mac.Sum(nil)[:cursorMAC]
}

func (s cursorSeal) seal(c listCursor) string {
	payload, _ := json.Marshal(c) // strings always marshal
	return base64.RawURLEncoding.EncodeToString(append(s.code(payload), payload...))
}

// open reads a cursor that was sealed for the method.
func (s cursorSeal) open(text, method string) (map[string]string, error) {
	if len(text) > maxSealed {
		return nil, errCursor
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < cursorMAC || !hmac.Equal(s.code(raw[cursorMAC:]), raw[:cursorMAC]) {
		return nil, errCursor
	}
	var c listCursor
	if json.Unmarshal(raw[cursorMAC:], &c) != nil || c.Method != method {
		return nil, errCursor
	}
	return c.Cursors, nil
}
