package entra

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// maxClaims bounds a claims challenge in bytes.
const maxClaims = 16 << 10

// decodeClaims accepts a claims challenge as a header carries it, base64 of
// either alphabet, or as JSON, and returns compact JSON.
func decodeClaims(claims string) (string, error) {
	if claims == "" {
		return "", nil
	}
	if len(claims) > maxClaims {
		return "", fmt.Errorf("the claims challenge is longer than %d bytes", maxClaims)
	}
	raw := []byte(claims)
	if claims[0] != '{' {
		var err error
		if raw, err = decodeBase64(claims); err != nil {
			return "", errors.New("the claims challenge is neither JSON nor base64")
		}
	}
	// OpenID Connect Core section 5.5. MSAL merges our capabilities into
	// access_token.xms_cc, and cannot if something else is in their place.
	var request *struct {
		AccessToken map[string]json.RawMessage `json:"access_token"`
	}
	var compact bytes.Buffer
	if json.Unmarshal(raw, &request) != nil || request == nil || json.Compact(&compact, raw) != nil {
		return "", errors.New("the claims challenge is not a claims request")
	}
	if _, ok := request.AccessToken["xms_cc"]; ok {
		return "", errors.New("the claims challenge asks for client capabilities, which are not its to choose")
	}
	return compact.String(), nil
}

// decodeBase64 accepts both alphabets, padded or not.
func decodeBase64(s string) ([]byte, error) {
	b := bytes.TrimRight([]byte(s), "=")
	for i, c := range b {
		switch c {
		case '-':
			b[i] = '+'
		case '_':
			b[i] = '/'
		}
	}
	return base64.RawStdEncoding.DecodeString(string(b))
}
