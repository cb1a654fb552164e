package fakeentra

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // #nosec G505 -- x5t is defined as a SHA-1 thumbprint, RFC 7515 section 4.1.7
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// signingKey is an RSA key with the self-signed certificate that Entra
// publishes beside it. Its id is the certificate's thumbprint, as at Entra.
type signingKey struct {
	id   string // kid and x5t
	key  *rsa.PrivateKey
	cert []byte // DER
}

// newSigningKey wraps the key, or makes one if it is nil.
func newSigningKey(key *rsa.PrivateKey) (*signingKey, error) {
	if key == nil {
		var err error
		if key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: "accounts.accesscontrol.windows.net"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(5 * 365 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	sum := sha1.Sum(der) // #nosec G401 -- see the import
	return &signingKey{id: b64(sum[:]), key: key, cert: der}, nil
}

// RotateKeys makes a new key sign from now on. The old ones stay published,
// as during a planned rollover at Entra, unless retireOld, which is what an
// emergency rollover looks like: tokens signed earlier can't be verified then.
func (s *Server) RotateKeys(retireOld bool) error {
	key, err := newSigningKey(nil)
	if err != nil {
		return fmt.Errorf("rotating the signing key: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if retireOld {
		s.keys = nil
	}
	const published = 4 // Entra publishes a handful
	s.keys = append([]*signingKey{key}, s.keys[:min(len(s.keys), published-1)]...)
	return nil
}

// SigningKeyID is the kid of the key that signs at present.
func (s *Server) SigningKeyID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[0].id
}

// jwk is a key in the form of Entra's keys documents. Only the v2 document
// states the issuer that a key may be used for.
type jwk struct {
	Kty    string   `json:"kty"`
	Use    string   `json:"use"`
	Kid    string   `json:"kid"`
	X5t    string   `json:"x5t"`
	N      string   `json:"n"`
	E      string   `json:"e"`
	X5c    []string `json:"x5c"`
	Cloud  string   `json:"cloud_instance_name"`
	Issuer string   `json:"issuer,omitempty"`
}

func (k *signingKey) public(cloud, issuer string) jwk {
	return jwk{
		Kty: "RSA", Use: "sig", Kid: k.id, X5t: k.id,
		N:   b64(k.key.N.Bytes()),
		E:   b64(big.NewInt(int64(k.key.E)).Bytes()),
		X5c: []string{base64.StdEncoding.EncodeToString(k.cert)}, Cloud: cloud, Issuer: issuer,
	}
}

// signJWT serialises and signs. The algorithm is the header's "alg"; key is a
// *rsa.PrivateKey, an *ecdsa.PrivateKey or, for HS256, bytes. It signs what it
// is told to sign, "none" included: tests of verifiers need bad tokens.
func signJWT(header, claims map[string]any, key any) (string, error) {
	h, err := json.Marshal(header)
	if err != nil {
		return "", fmt.Errorf("encoding the header: %w", err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encoding the claims: %w", err)
	}
	input := b64(h) + "." + b64(c)
	sig, err := signature(header["alg"], []byte(input), key)
	if err != nil {
		return "", err
	}
	return input + "." + b64(sig), nil
}

var errKeyMismatch = errors.New("the key does not fit the algorithm")

func signature(alg any, input []byte, key any) ([]byte, error) {
	sum := sha256.Sum256(input)
	switch alg {
	case "none":
		return nil, nil
	case "RS256":
		if k, ok := key.(*rsa.PrivateKey); ok {
			return rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
		}
	case "PS256":
		if k, ok := key.(*rsa.PrivateKey); ok {
			return rsa.SignPSS(rand.Reader, k, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
	case "HS256":
		if k, ok := key.([]byte); ok {
			m := hmac.New(sha256.New, k)
			m.Write(input)
			return m.Sum(nil), nil
		}
	case "ES256":
		if k, ok := key.(*ecdsa.PrivateKey); ok && k.Params().BitSize == 256 {
			r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
			if err != nil {
				return nil, err
			}
			return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
		}
	default:
		return nil, fmt.Errorf("signing a token: unsupported alg %v", alg)
	}
	return nil, fmt.Errorf("signing a token with %v: %w", alg, errKeyMismatch)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
