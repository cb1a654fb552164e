package fakeentra

import "time"

// codeGrant is an authorization code from its issue to its use.
type codeGrant struct {
	client      string
	redirectURI string
	scope       string
	challenge   string // PKCE, S256
	nonce       string
	acrs        []string
	oid         string
	issued      time.Time
	used        bool
}
