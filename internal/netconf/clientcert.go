package netconf

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

// clientCert is the certificate for servers that ask for one. It is read again
// at each handshake, since short-lived ones are replaced while a bridge runs.
type clientCert struct {
	settings Settings

	mu   sync.Mutex
	last *tls.Certificate
}

// loadClientCert reads the certificate once, to find faults early; nil without
// one.
func loadClientCert(s Settings, now func() time.Time) (*clientCert, error) {
	if s.ClientCert == "" {
		if s.ClientKey != "" || s.ClientPassword != "" {
			return nil, errors.New("a key or password without a client certificate. Add --client-cert FILE")
		}
		return nil, nil
	}
	cert, err := readClientCert(s)
	if err != nil {
		return nil, err
	}
	switch at := now(); {
	case at.After(cert.Leaf.NotAfter):
		return nil, fmt.Errorf("the client certificate %s expired on %s. Get a new one, and name it with --client-cert FILE", s.ClientCert, day(cert.Leaf.NotAfter))
	case at.Before(cert.Leaf.NotBefore):
		return nil, fmt.Errorf("the client certificate %s is not valid before %s. Check the clock of this machine", s.ClientCert, day(cert.Leaf.NotBefore))
	}
	return &clientCert{settings: s, last: cert}, nil
}

// get returns the certificate as it is now.
func (c *clientCert) get() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cert, err := readClientCert(c.settings); err == nil {
		c.last = cert
	}
	return c.last // a file that is being replaced is no reason to fail
}

func readClientCert(s Settings) (*tls.Certificate, error) {
	data, err := readFile(s.ClientCert)
	if err != nil {
		return nil, fmt.Errorf("reading the client certificate %s: %w. Name it with --client-cert FILE", s.ClientCert, err)
	}
	if block, _ := pem.Decode(data); block == nil {
		return fromPKCS12(s, data)
	}
	keyFile, key := s.ClientCert, data
	if s.ClientKey != "" {
		keyFile = s.ClientKey
		if key, err = readFile(s.ClientKey); err != nil {
			return nil, fmt.Errorf("reading the key of the client certificate, %s: %w. Name it with --client-key FILE", s.ClientKey, err)
		}
	}
	switch {
	case s.ClientKey == "" && !bytes.Contains(key, []byte("PRIVATE KEY")):
		return nil, fmt.Errorf("the client certificate %s comes without its key. Add --client-key FILE", s.ClientCert)
	case bytes.Contains(key, []byte("ENCRYPTED")):
		return nil, fmt.Errorf("the key in %s is protected by a password. Use a PKCS#12 file with --client-cert-password-file, or decrypt it: openssl pkey -in KEY -out NEWKEY", keyFile)
	}
	cert, err := tls.X509KeyPair(data, key)
	if err != nil {
		return nil, fmt.Errorf("the client certificate %s with the key in %s: %s. Name a PEM certificate and its key with --client-cert and --client-key", s.ClientCert, keyFile, plain(err))
	}
	return &cert, nil
}

// fromPKCS12 reads a .p12 or .pfx file, as Windows, macOS and browsers export
// certificates.
func fromPKCS12(s Settings, data []byte) (*tls.Certificate, error) {
	password := ""
	if s.ClientPassword != "" {
		text, err := readFile(s.ClientPassword)
		if err != nil {
			return nil, fmt.Errorf("reading the password of the client certificate, %s: %w. Name its file with --client-cert-password-file FILE", s.ClientPassword, err)
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	key, leaf, chain, err := pkcs12.DecodeChain(data, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword) && s.ClientPassword == "":
		return nil, fmt.Errorf("the client certificate %s is protected by a password. Put it into a file that only you can read and add --client-cert-password-file FILE", s.ClientCert)
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, fmt.Errorf("the password in %s is not that of the client certificate %s", s.ClientPassword, s.ClientCert)
	case err != nil:
		return nil, fmt.Errorf("the client certificate %s is neither PEM nor PKCS#12 that can be read: %w. Convert it: openssl pkcs12 -in FILE -out FILE.pem -nodes", s.ClientCert, err)
	}
	cert := &tls.Certificate{PrivateKey: key, Leaf: leaf, Certificate: [][]byte{leaf.Raw}}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert, nil
}

// plain drops the prefix of the standard library's words.
func plain(err error) string { return strings.TrimPrefix(err.Error(), "tls: ") }

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// subject names a certificate's holder or issuer for people.
func subject(c *x509.Certificate, issuer bool) string {
	name := c.Subject
	if issuer {
		name = c.Issuer
	}
	text := name.CommonName
	if len(name.Organization) > 0 && !strings.Contains(text, name.Organization[0]) {
		text = strings.TrimPrefix(text+", "+name.Organization[0], ", ")
	}
	if text == "" {
		text = name.String()
	}
	if len(text) > 100 {
		text = text[:100] + "…"
	}
	return text
}
