package fakeentra

import (
	"crypto/subtle"
)

// The values of appidacr and azpacr.
const (
	proofNone        = "0"
	proofSecret      = "1"
	proofCertificate = "2"
)

// authenticate checks the client's credential and returns how it proved itself.
// s.mu is held.
func (x *exchange) authenticate(client *App) (string, *Error) {
	secret := x.form.Get("client_secret")
	if _, password, ok := x.r.BasicAuth(); ok && secret == "" {
		secret = password
	}
	if secret != "" {
		if client.Secret == "" || subtle.ConstantTimeCompare([]byte(secret), []byte(client.Secret)) != 1 {
			return "", clientError(7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'.", client.ClientID)
		}
		return proofSecret, nil
	}
	if !client.PublicClient {
		return "", clientError(7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	}
	return proofNone, nil
}

func clientError(aadsts int, format string, args ...any) *Error {
	e := failure("invalid_client", aadsts, format, args...)
	e.Status = 401
	return e
}
