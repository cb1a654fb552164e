package entra

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
)

// maxCredentialFile bounds the file of a credential. A certificate with its
// chain and key has a few kilobytes.
const maxCredentialFile = 256 << 10

// A Credential is how an application proves who it is. Of several, the first in
// the order of the fields is used: those without a secret come first.
//
// Files are read again when they change, so that a rotated credential needs no
// restart.
type Credential struct {
	// ManagedIdentity stands for the application through a federated credential
	// (audience api://AzureADTokenExchange).
	ManagedIdentity *ManagedIdentity
	// FederatedTokenFile holds a token of another issuer, as Kubernetes mounts
	// it (AZURE_FEDERATED_TOKEN_FILE).
	FederatedTokenFile string
	// CertificateFile is a PEM file with the certificate, its chain if any, and
	// the unencrypted RSA key.
	CertificateFile string
	// SecretFile holds the client secret; white space around it is dropped.
	SecretFile string
}

// IsZero reports whether there is no credential.
func (c Credential) IsZero() bool { return c == Credential{} }

// A credentialError is a credential that can't be had now.
type credentialError struct {
	kind Kind
	text string
	wait time.Duration
}

func (e *credentialError) Error() string { return e.text }

// stamp changes when the file that MSAL's client was made with does.
func (c Credential) stamp() string {
	if c.ManagedIdentity != nil || c.FederatedTokenFile != "" {
		return "" // asked for, or read, each time
	}
	path := c.CertificateFile
	if path == "" {
		path = c.SecretFile
	}
	info, err := os.Stat(path)
	if err != nil {
		return "unreadable"
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size())
}

func (c Credential) msal(authority Authority) (confidential.Credential, error) {
	switch {
	case c.ManagedIdentity != nil:
		return confidential.NewCredFromAssertionCallback(func(ctx context.Context, _ confidential.AssertionRequestOptions) (string, error) {
			token, _, err := c.ManagedIdentity.Token(ctx, exchangeAudience(authority), "")
			if err != nil {
				return "", asCredentialError(err)
			}
			return token, nil
		}), nil
	case c.FederatedTokenFile != "":
		if _, err := readCredential(c.FederatedTokenFile); err != nil {
			return confidential.Credential{}, err
		}
		return confidential.NewCredFromAssertionCallback(func(context.Context, confidential.AssertionRequestOptions) (string, error) {
			return readCredential(c.FederatedTokenFile)
		}), nil
	case c.CertificateFile != "":
		return readCertificate(c.CertificateFile)
	case c.SecretFile != "":
		secret, err := readCredential(c.SecretFile)
		if err != nil {
			return confidential.Credential{}, err
		}
		return confidential.NewCredFromSecret(secret)
	}
	return confidential.Credential{}, errors.New("none is configured")
}

// exchangeAudience is the audience of tokens that stand for a credential; each
// cloud has its own (Microsoft Entra, "Workload identity federation").
func exchangeAudience(authority Authority) string {
	switch authority.Cloud() {
	case "usgov":
		return "api://AzureADTokenExchangeUSGov"
	case "china":
		return "api://AzureADTokenExchangeChina"
	}
	return "api://AzureADTokenExchange"
}

func asCredentialError(err error) error {
	var e *ConfidentialError
	if errors.As(err, &e) {
		return &credentialError{kind: e.err.Kind, text: e.Error(), wait: e.err.RetryAfter}
	}
	return err
}

// readCredential reads a file with one secret in it. Errors never quote it.
func readCredential(path string) (string, error) {
	data, err := readBounded(path)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(data))
	if text == "" || strings.ContainsAny(text, "\r\n\x00") {
		return "", &credentialError{kind: KindMisconfigured, text: path + " doesn't hold one line with the credential"}
	}
	return text, nil
}

func readCertificate(path string) (confidential.Credential, error) {
	data, err := readBounded(path)
	if err != nil {
		return confidential.Credential{}, err
	}
	// MSAL's errors here name what is wrong with the file and quote nothing of it.
	certs, key, err := confidential.CertFromPEM(data, "")
	if err == nil {
		var cred confidential.Credential
		if cred, err = confidential.NewCredFromCert(certs, key); err == nil {
			return cred, nil
		}
	}
	return confidential.Credential{}, &credentialError{
		kind: KindMisconfigured,
		text: path + " must hold a certificate and its unencrypted RSA key in PEM: " + redactDescription(err.Error()),
	}
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &credentialError{kind: KindMisconfigured, text: err.Error()}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCredentialFile+1))
	switch {
	case err != nil:
		return nil, &credentialError{kind: KindMisconfigured, text: err.Error()}
	case len(data) > maxCredentialFile:
		return nil, &credentialError{kind: KindMisconfigured, text: fmt.Sprintf("%s is larger than %d bytes", path, maxCredentialFile)}
	}
	return data, nil
}
