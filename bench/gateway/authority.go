package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"time"
)

// Who is who in the tokens.
const (
	tenant   = "11111111-1111-4111-8111-111111111111"
	api      = "22222222-2222-4222-8222-222222222222"
	client   = "33333333-3333-4333-8333-333333333333"
	person   = "44444444-4444-4444-8444-444444444444"
	scope    = "Mcp.Access"
	keyID    = "bench"
	lifetime = time.Hour
)

// An authority publishes one signing key the way Entra does and signs tokens with it.
type authority struct {
	web *httptest.Server
	key *rsa.PrivateKey
}

func newAuthority() (*authority, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	a := &authority{key: key}
	a.web = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/keys" {
			e := big.NewInt(int64(key.E)).Bytes()
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{"kty": "RSA", "use": "sig", "kid": keyID, "n": encode(key.N.Bytes()), "e": encode(e)}}})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": a.url() + "/v2.0", "jwks_uri": a.web.URL + "/keys"})
	}))
	return a, nil
}

func (a *authority) url() string { return a.web.URL + "/" + tenant }

// ca is the certificate to trust, in PEM.
func (a *authority) ca() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.web.Certificate().Raw})
}

// token signs a token for the person.
func (a *authority) token() (string, error) {
	now := time.Now()
	header := map[string]string{"typ": "JWT", "alg": "RS256", "kid": keyID}
	claims := map[string]any{
		"aud": api, "iss": a.url() + "/v2.0", "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(lifetime).Unix(),
		"azp": client, "azpacr": "0", "name": "Ada Lovelace", "oid": person, "preferred_username": "ada@contoso.com",
		"scp": scope, "sub": person, "tid": tenant, "uti": "bench", "ver": "2.0",
	}
	var parts [2]string
	for i, part := range []any{header, claims} {
		raw, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		parts[i] = encode(raw)
	}
	signed := parts[0] + "." + parts[1]
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return signed + "." + encode(signature), nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
