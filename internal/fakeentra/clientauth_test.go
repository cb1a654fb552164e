package fakeentra_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

// certificate returns a key with a self-signed certificate.
func certificate(t *testing.T) (*rsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}

func TestClientAssertions(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	key, cert := certificate(t)
	app := register(t, srv, fakeentra.App{Name: "Daemon", Certificates: []*x509.Certificate{cert},
		AppPermissions: map[string][]string{sample.API.ClientID: {fakeentra.SampleWriterRole}}})
	good := jwt.Claims{
		Issuer: app.ClientID, Subject: app.ClientID, Audience: jwt.Audience{srv.Authority() + "/oauth2/v2.0/token"},
		Expiry: jwt.NewNumericDate(time.Now().Add(10 * time.Minute)),
	}
	for _, tc := range []struct {
		name   string
		key    *rsa.PrivateKey
		change func(*jwt.Claims)
		aadsts int
	}{
		{"good", key, func(*jwt.Claims) {}, 0},
		{"for the issuer", key, func(c *jwt.Claims) { c.Audience = jwt.Audience{srv.IssuerV2()} }, 0},
		{"foreign audience", key, func(c *jwt.Claims) { c.Audience = jwt.Audience{"https://elsewhere.example"} }, 700023},
		{"another client", key, func(c *jwt.Claims) { c.Subject = sample.Client.ClientID }, 700021},
		{"expired", key, func(c *jwt.Claims) { c.Expiry = jwt.NewNumericDate(time.Now().Add(-time.Hour)) }, 700024},
		{"without expiry", key, func(c *jwt.Claims) { c.Expiry = nil }, 700024},
		{"the authority's own key, no federated credential", sharedKey(), func(*jwt.Claims) {}, 700213},
	} {
		t.Run(tc.name, func(t *testing.T) {
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.PS256, Key: tc.key}, nil)
			if err != nil {
				t.Fatal(err)
			}
			claims := good
			tc.change(&claims)
			assertion, err := jwt.Signed(signer).Claims(claims).Serialize()
			if err != nil {
				t.Fatal(err)
			}
			r := post(t, srv, "token", params("client_id", app.ClientID, "grant_type", "client_credentials", "scope", sample.API.IDURIs[0]+"/.default",
				"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", assertion))
			if tc.aadsts != 0 {
				refused(t, r, http.StatusUnauthorized, "invalid_client", tc.aadsts)
			} else if r.AccessToken == "" {
				t.Error(r.Description)
			}
		})
	}
}

// Secrets may come in the Authorization header, form-encoded first.
func TestBasicAuthentication(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	app := register(t, srv, fakeentra.App{Name: "Daemon", Secret: "s~3+cr%t",
		AppPermissions: map[string][]string{sample.API.ClientID: {fakeentra.SampleWriterRole}}})
	form := params("grant_type", "client_credentials", "scope", sample.API.IDURIs[0]+"/.default")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.Authority()+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(app.ClientID), url.QueryEscape(app.Secret))
	resp, err := srv.HTTPClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
}
