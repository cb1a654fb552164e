package netconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// ExplainTLS tells a person why a TLS connection was not made and what to do;
// ok is false for an error that is not about TLS.
func ExplainTLS(err error) (text string, ok bool) {
	var own *Error
	if errors.As(err, &own) {
		return own.Text, own.tls
	}
	return explainTLS(err, time.Now())
}

func explainTLS(err error, now time.Time) (string, bool) {
	var chain []*x509.Certificate
	if failed := (*tls.CertificateVerificationError)(nil); errors.As(err, &failed) {
		chain = failed.UnverifiedCertificates
	}
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var header tls.RecordHeaderError
	switch {
	case errors.As(err, &authority):
		if authority.Cert != nil && len(chain) == 0 {
			chain = []*x509.Certificate{authority.Cert}
		}
		return unknownAuthority(chain), true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return expired(invalid.Cert, now), true
	case errors.As(err, &invalid):
		return fmt.Sprintf("The server's certificate can't be used: %s.%s", strings.TrimPrefix(invalid.Error(), "x509: "), inspection(chain)), true
	case errors.As(err, &host):
		return wrongHost(host) + inspection(chain), true
	case errors.As(err, &header):
		return "The server does not speak TLS at this address. Check the port, and whether the address should begin with http:// (servers on this machine only).", true
	}
	return explainAlert(err)
}

func unknownAuthority(chain []*x509.Certificate) string {
	if len(chain) == 0 {
		return "The server's certificate comes from an authority that this machine does not trust. If it is your company's, get its certificate as a PEM file and add --ca-file FILE."
	}
	leaf, last := chain[0], chain[len(chain)-1]
	text := fmt.Sprintf("The certificate of %q was issued by %q, which this machine does not trust.", subject(leaf, false), subject(last, true))
	if hint := inspection(chain); hint != "" {
		return text + hint
	}
	if leaf.Issuer.String() == leaf.Subject.String() {
		return text + " The server signed it itself. If you know the server, add its certificate with --ca-file FILE."
	}
	return text + " If that is your company's authority, or of a proxy that inspects TLS, get its certificate as a PEM file and add --ca-file FILE."
}

func expired(c *x509.Certificate, now time.Time) string {
	if now.Before(c.NotBefore) {
		return fmt.Sprintf("The certificate of %q is not valid before %s, and this machine's clock says %s. Check the clock.", subject(c, false), day(c.NotBefore), day(now))
	}
	return fmt.Sprintf("The certificate of %q expired on %s; this machine's clock says %s. If the clock is right, the server's operator has to renew it.", subject(c, false), day(c.NotAfter), day(now))
}

func wrongHost(e x509.HostnameError) string {
	names := e.Certificate.DNSNames
	for _, ip := range e.Certificate.IPAddresses {
		names = append(names[:len(names):len(names)], ip.String())
	}
	most := min(len(names), 5)
	has := strings.Join(names[:most], ", ")
	if has == "" {
		has = "no name at all"
	}
	return fmt.Sprintf("The certificate is not for %s but for %.300s. Check the address.", e.Host, has)
}

// inspectors are words in the names of authorities that belong to products
// which open TLS connections to look inside.
var inspectors = []string{
	"Zscaler", "Netskope", "Palo Alto", "Blue Coat", "Symantec Web", "Fortinet", "FortiGate", "Cisco Umbrella", "Forcepoint",
	"McAfee Web", "Skyhigh", "Sophos", "Check Point", "Barracuda", "WatchGuard", "SonicWall", "iboss", "Menlo", "Cloudflare Gateway", "Kaspersky", "ESET SSL", "Avast", "Bitdefender",
}

// inspection names the product in between, where a certificate gives it away.
func inspection(chain []*x509.Certificate) string {
	for _, c := range chain {
		issuer := c.Issuer.String()
		for _, name := range inspectors {
			if strings.Contains(strings.ToLower(issuer), strings.ToLower(name)) {
				return fmt.Sprintf(" It looks as if %s inspects TLS on the way. Ask your IT department for its CA certificate as a PEM file and add --ca-file FILE.", name)
			}
		}
	}
	return ""
}

// alerts are the words of crypto/tls for what the other end says in a TLS alert
// (RFC 8446 section 6.2); it exports no type for them.
var alerts = map[string]string{
	"tls: certificate required":           "The server wants a client certificate. Add --client-cert FILE and --client-key FILE.",
	"tls: bad certificate":                "The server does not accept the client certificate, or wants one that it did not get. Check --client-cert FILE and --client-key FILE.",
	"tls: unsupported certificate":        "The server does not accept this kind of client certificate. Check --client-cert FILE.",
	"tls: revoked certificate":            "The server says that the client certificate was revoked. Get a new one, and name it with --client-cert FILE.",
	"tls: expired certificate":            "The server says that the client certificate has expired. Get a new one, and name it with --client-cert FILE.",
	"tls: unknown certificate":            "The server does not know the client certificate. Check --client-cert FILE.",
	"tls: unknown certificate authority":  "The server does not trust who issued the client certificate. Check --client-cert FILE.",
	"tls: access denied":                  "The server does not let in the holder of this client certificate. Ask its operator.",
	"tls: handshake failure":              "The server and mcpctl found no way to encrypt that both accept, or the server wants a client certificate (--client-cert FILE). mcpctl speaks TLS 1.2 and 1.3.",
	"tls: protocol version not supported": "The server speaks no version of TLS that mcpctl accepts: it needs 1.2 or 1.3.",
	"tls: unrecognized name":              "The server knows no site of this name. Check the address.",
}

func explainAlert(err error) (string, bool) {
	if strings.Contains(err.Error(), "tls: server selected unsupported protocol version") {
		return alerts["tls: protocol version not supported"], true
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" || op.Err == nil {
		return "", false
	}
	text, ok := alerts[op.Err.Error()]
	return text, ok
}
