package auth

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// Bounds of what an authority may send. Entra's documents have a few kilobytes
// and a handful of keys.
const (
	maxMetadata = 64 << 10
	maxKeyDoc   = 1 << 20
	maxKeys     = 100
	minKeyBits  = 2048
	maxKeyBits  = 8192
)

// discovery finds the signing keys of a tenant: OpenID Connect discovery from
// the configured authority, then the document that jwks_uri names.
type discovery struct {
	http      *http.Client
	authority authority
	tenant    string
	version   tokenVersion
}

// guardedClient is c, or a new client, that follows no redirect: keys must come
// from the address that the configuration leads to. Waits are bounded by the
// context of each fetch.
func guardedClient(c *http.Client) *http.Client {
	guarded := &http.Client{}
	if c != nil {
		*guarded = *c
	} else {
		transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
		transport.TLSHandshakeTimeout = fetchTimeout
		guarded.Transport = transport
	}
	guarded.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	guarded.Jar = nil
	return guarded
}

// keys fetches the keys by id.
func (d discovery) keys(ctx context.Context) (map[string]*signingKey, error) {
	address := d.authority.metadataURL(d.version, d.tenant)
	body, err := d.get(ctx, address, maxMetadata)
	if err != nil {
		return nil, err
	}
	var metadata struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
		Cloud  string `json:"cloud_instance_name"`
	}
	if err := json.Unmarshal(body, &metadata); err != nil {
		return nil, fmt.Errorf("reading %s: it is not the expected JSON", address)
	}
	if !slices.Contains(d.authority.issuers(d.version, d.tenant), metadata.Issuer) {
		return nil, fmt.Errorf("reading %s: it is of issuer %q, not of this tenant", address, metadata.Issuer)
	}
	u, err := url.Parse(metadata.Keys)
	if err != nil || u.Scheme != "https" || u.User != nil || !slices.Contains(d.authority.keyHosts, u.Host) {
		return nil, fmt.Errorf("reading %s: its keys are said to be at %q, outside the authority", address, metadata.Keys)
	}
	if body, err = d.get(ctx, u.String(), maxKeyDoc); err != nil {
		return nil, err
	}
	keys, err := parseKeys(body, metadata.Cloud)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", u, err)
	}
	return keys, nil
}

func (d discovery) get(ctx context.Context, address string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := d.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", address, err)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("reading %s: HTTP status %d", address, resp.StatusCode)
	case int64(len(body)) > limit:
		return nil, fmt.Errorf("reading %s: more than %d bytes", address, limit)
	}
	return body, nil
}

// parseKeys reads a JSON Web Key Set (RFC 7517). Keys that cannot sign RS256
// tokens of the cloud are passed over, as its section 5 advises; a set without
// any usable key is an error, so that it does not replace a good one.
func parseKeys(body []byte, cloud string) (map[string]*signingKey, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, errors.New("it is not a JSON Web Key Set")
	}
	if len(doc.Keys) > maxKeys {
		return nil, fmt.Errorf("it has %d keys, more than %d", len(doc.Keys), maxKeys)
	}
	keys := make(map[string]*signingKey, len(doc.Keys))
	ambiguous := make(map[string]bool)
	for _, raw := range doc.Keys {
		key := parseKey(raw, cloud)
		if key == nil {
			continue
		}
		if other, ok := keys[key.id]; ok && !key.equal(other) {
			ambiguous[key.id] = true
		}
		keys[key.id] = key
	}
	for id := range ambiguous {
		delete(keys, id)
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no usable signing key")
	}
	return keys, nil
}

// publishedKey is what we read of a key. Its certificate (x5c) is left out on
// purpose: it proves nothing that the authority's TLS has not proven, and one
// that Go's x509 finds fault with must not cost us the key.
type publishedKey struct {
	Kty    string `json:"kty"`
	Kid    string `json:"kid"`
	Use    string `json:"use,omitempty"`
	Alg    string `json:"alg,omitempty"`
	N      string `json:"n"`
	E      string `json:"e"`
	Issuer string `json:"issuer,omitempty"`
	Cloud  string `json:"cloud_instance_name,omitempty"`
}

// parseKey returns nil for a key that is not for us: another kind or use, too
// weak, or of another cloud than the metadata.
func parseKey(raw json.RawMessage, cloud string) *signingKey {
	var k publishedKey
	if json.Unmarshal(raw, &k) != nil {
		return nil
	}
	if k.Kty != "RSA" || k.Kid == "" || k.Use != "" && k.Use != "sig" || k.Alg != "" && k.Alg != "RS256" {
		return nil
	}
	if cloud != "" && k.Cloud != "" && k.Cloud != cloud {
		return nil
	}
	plain, err := json.Marshal(k)
	if err != nil {
		return nil
	}
	var jwk jose.JSONWebKey
	if jwk.UnmarshalJSON(plain) != nil {
		return nil
	}
	public, ok := jwk.Key.(*rsa.PublicKey)
	if !ok || public.N.BitLen() < minKeyBits || public.N.BitLen() > maxKeyBits {
		return nil
	}
	return &signingKey{id: k.Kid, public: public, issuer: k.Issuer}
}
