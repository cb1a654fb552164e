package fakeentra

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"
)

var guidPattern = regexp.MustCompile(`(?i)^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func isGUID(s string) bool { return guidPattern.MatchString(s) }

// newGUID returns a random (version 4) GUID.
func newGUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	x := hex.EncodeToString(b[:])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// randomID returns n random bytes in base64url.
func randomID(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return b64(b)
}

// userCodeAlphabet leaves out what people mix up, as Entra does.
const userCodeAlphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789" // 32 letters: no bias below

// newUserCode returns nine letters for a person to type, as Entra's.
func newUserCode() string {
	b := make([]byte, 9)
	rand.Read(b)
	for i := range b {
		b[i] = userCodeAlphabet[b[i]%32]
	}
	return string(b)
}
