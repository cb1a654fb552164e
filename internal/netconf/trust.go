package netconf

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
)

// maxFile bounds certificate files in bytes. The Mozilla bundle has 220 kB.
const maxFile = 8 << 20

// loadRoots returns the operating system's roots and those that were asked for
// besides; nil where there are none of the latter, which leaves verifying to
// the operating system.
//
// The files of the settings are read at once, for their faults are the person's
// to put right; the rest when the returned function is first called.
func loadRoots(o Options) (func() *x509.CertPool, error) {
	var extra []*x509.Certificate
	var faults []error
	for _, path := range o.CAFiles {
		certs, err := readCertificates(path)
		if err != nil {
			faults = append(faults, fmt.Errorf("reading the CA file %s: %w. Name a PEM file with the CA's certificate: --ca-file FILE", path, err))
		}
		extra = append(extra, certs...)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return sync.OnceValue(func() *x509.CertPool {
		all := append(extra, fromVariables(o)...)
		if len(all) == 0 {
			return nil
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			o.Logger.Warn("the system's trust store can't be read; trusting only the CA files", "reason", err)
			pool = x509.NewCertPool()
		}
		for _, c := range all {
			pool.AddCert(c)
		}
		return pool
	}), nil
}

// fromVariables returns what is trusted because the environment says so. That
// is meant for other programs, so faults are told and do not stop anything.
func fromVariables(o Options) []*x509.Certificate {
	var extra []*x509.Certificate
	// Node.js, which people coming from npm have configured.
	names := []string{"NODE_EXTRA_CA_CERTS"}
	switch runtime.GOOS {
	case "darwin", "windows":
		names = append(names, "SSL_CERT_FILE") // elsewhere crypto/x509 reads it
	default:
		if path := o.Getenv("SSL_CERT_FILE"); path != "" {
			if _, err := os.Stat(path); err != nil {
				o.Logger.Warn("SSL_CERT_FILE names a file that can't be read, so the system's certificates are missing", "file", path, "reason", err)
			}
		}
	}
	for _, name := range names {
		path := o.Getenv(name)
		if path == "" {
			continue
		}
		certs, err := readCertificates(path)
		if err != nil {
			o.Logger.Warn("a file of certificates in the environment is of no use", "variable", name, "file", path, "reason", err)
			continue
		}
		o.Logger.Debug("trusting certificates from the environment", "variable", name, "file", path, "certificates", len(certs))
		extra = append(extra, certs...)
	}
	return extra
}

// readCertificates reads certificates in PEM, or one in DER as Windows exports
// it.
func readCertificates(path string) ([]*x509.Certificate, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	certs, err := parseCertificates(data)
	if err != nil {
		return nil, err
	}
	return certs, nil
}

func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	var other string
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch block.Type {
		case "CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("certificate %d in it is damaged: %w", len(certs)+1, err)
			}
			certs = append(certs, c)
		default:
			other = block.Type
		}
	}
	if len(certs) > 0 {
		return certs, nil
	}
	if other != "" {
		return nil, fmt.Errorf("it holds no certificate, but %q", other)
	}
	if certs, err := x509.ParseCertificates(data); err == nil && len(certs) > 0 {
		return certs, nil
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("it is empty")
	}
	return nil, errors.New("it holds no certificate in PEM or DER form")
}

// readFile reads a file of bounded size. The error leaves the path to the
// caller.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	var data []byte
	if err == nil {
		defer f.Close()
		data, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	}
	var p *os.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return data, err
}
