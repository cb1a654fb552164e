// Package profile keeps what a sign-in pinned: for each MCP server's address
// the origin, tenant, authority, client, scopes and account that a person
// agreed to. A bridge starts from its profile and discovers nothing anew, so
// a server cannot quietly lead an existing sign-in elsewhere.
//
// A profile is one JSON file and never holds a secret.
package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/redact"
)

// Version is the version of the file format that this package writes. Fields
// may be added without a new version; it changes when an older mcpctl would
// misunderstand a file.
const Version = 1

// maxSize bounds a profile file in bytes.
const maxSize = 64 << 10

// A Profile is the pinned sign-in for one MCP server.
type Profile struct {
	Version    int       `json:"version"`
	URL        string    `json:"url"`    // as [Canonical] writes it
	Origin     string    `json:"origin"` // the only place its token may go
	TenantID   string    `json:"tenant_id,omitempty"`
	Authority  string    `json:"authority,omitempty"`
	ClientID   string    `json:"client_id,omitempty"`
	Scopes     []string  `json:"scopes,omitempty"`
	Account    Account   `json:"account"`
	TokenStore string    `json:"token_store,omitempty"` // where the tokens' key is kept
	Transport  string    `json:"transport,omitempty"`   // auto, http or sse
	DevCA      string    `json:"dev_ca,omitempty"`      // path of a development authority's CA
	Network    Network   `json:"network,omitzero"`      // what is said about reaching the server
	Created    time.Time `json:"created"`
	Updated    time.Time `json:"updated"`
}

// An Account is who signed in.
type Account struct {
	HomeAccountID string `json:"home_account_id,omitempty"` // the key of its tokens
	Username      string `json:"username,omitempty"`        // for people
}

// A Network is how to reach a server and its authority, for bridges that are
// started with little environment. Paths are absolute. The fields are those of
// netconf.Settings, to which it can be converted.
type Network struct {
	Proxy          string   `json:"proxy,omitempty"` // an address without password, auto or none
	NoProxy        string   `json:"no_proxy,omitempty"`
	CAFiles        []string `json:"ca_files,omitempty"`
	ClientCert     string   `json:"client_cert,omitempty"`
	ClientKey      string   `json:"client_key,omitempty"`
	ClientPassword string   `json:"client_cert_password_file,omitempty"`
}

// Canonical returns the form of an MCP server's address by which profiles are
// found: scheme and host in lower case, the default port and the fragment
// dropped, path and query exactly as given. A trailing slash therefore makes
// another address, as it does for the server.
func Canonical(raw string) (string, error) {
	u, err := parse(raw)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

// Origin returns scheme, host and port of an address, without a default port.
func Origin(raw string) (string, error) {
	u, err := parse(raw)
	if err != nil {
		return "", err
	}
	return u.Scheme + "://" + u.Host, nil
}

func parse(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return nil, fmt.Errorf("%q is not an address: expected https://HOST/PATH", clip(redact.URL(raw)))
	case !strings.EqualFold(u.Scheme, "https") && !strings.EqualFold(u.Scheme, "http"):
		return nil, fmt.Errorf("%q must start with https://", clip(redact.URL(raw)))
	case u.User != nil:
		return nil, errors.New("an MCP server's address takes no user name or password")
	case strings.ContainsAny(u.Host, "%<>\"`\\^{|} "):
		return nil, fmt.Errorf("%q has a malformed host", clip(redact.URL(raw)))
	}
	u.Scheme = strings.ToLower(u.Scheme)
	u.Host = strings.ToLower(u.Host)
	defaults := map[string]string{"https": ":443", "http": ":80"}
	u.Host = strings.TrimSuffix(u.Host, defaults[u.Scheme])
	u.Host = strings.TrimSuffix(u.Host, ":")
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// encode writes p as a file's content.
func encode(p Profile) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // people read these files
	enc.SetIndent("", "  ")
	if err := enc.Encode(p); err != nil {
		return nil, err
	}
	if b.Len() > maxSize {
		return nil, fmt.Errorf("profile of %d bytes is larger than %d", b.Len(), maxSize)
	}
	return b.Bytes(), nil
}

// decode reads a file's content and checks that it is a usable profile.
func decode(data []byte) (Profile, error) {
	if len(data) > maxSize {
		return Profile{}, fmt.Errorf("larger than %d bytes", maxSize)
	}
	// The version comes first: what a newer mcpctl wrote is not corrupt.
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return Profile{}, err
	}
	if head.Version > Version {
		return Profile{}, fmt.Errorf("%w (format %d; this one reads up to %d): upgrade mcpctl", ErrNewerVersion, head.Version, Version)
	}
	var p Profile
	if err := json.Unmarshal(data, &p); err != nil {
		return Profile{}, err
	}
	return p, p.check()
}

// check refuses what this package would not have written.
func (p Profile) check() error {
	if p.Version != Version {
		return fmt.Errorf("format version %d is unknown", p.Version)
	}
	canonical, err := Canonical(p.URL)
	if err != nil {
		return err
	}
	if canonical != p.URL {
		return fmt.Errorf("url %q is not in canonical form", clip(redact.URL(p.URL)))
	}
	if origin, err := Origin(p.URL); err != nil || origin != p.Origin {
		return fmt.Errorf("origin %q is not that of %s", clip(p.Origin), redact.URL(p.URL))
	}
	if strings.Contains(p.Network.Proxy, "@") {
		return errors.New("the proxy's address holds a user name or password, and profiles hold no secret")
	}
	n := p.Network
	for _, s := range slices.Concat(p.Scopes, n.CAFiles, []string{
		p.TenantID, p.Authority, p.ClientID, p.Account.HomeAccountID, p.Account.Username, p.TokenStore, p.Transport, p.DevCA,
		n.Proxy, n.NoProxy, n.ClientCert, n.ClientKey, n.ClientPassword,
	}) {
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return errors.New("a field holds control characters")
		}
	}
	return nil
}

// A Pin is what a server, or its metadata, asks for now. Empty fields say
// nothing.
type Pin struct {
	TenantID  string
	Authority string
	ClientID  string
	Scopes    []string
}

// A Change is a difference between a profile and what a server asks for now.
type Change struct {
	Field    string // tenant, authority, client or scopes
	Old, New string // scopes separated by spaces
}

// String returns the change as a person should read it.
func (c Change) String() string { return fmt.Sprintf("%s: %q, was %q", c.Field, c.New, c.Old) }

// Diff returns how now departs from what old pinned; nothing means that the
// pin holds. Identifiers are compared without regard to case, and scopes
// without regard to order.
func Diff(old Profile, now Pin) []Change {
	var changes []Change
	compare := func(field, was, is string) {
		if is != "" && !strings.EqualFold(was, is) {
			changes = append(changes, Change{Field: field, Old: was, New: is})
		}
	}
	// A tenant can be known by its GUID and by a domain, which the pinned
	// authority then ends in.
	if !strings.EqualFold(now.TenantID, tenantOf(old.Authority)) {
		compare("tenant", old.TenantID, now.TenantID)
	}
	compare("authority", old.Authority, now.Authority)
	compare("client", old.ClientID, now.ClientID)
	if len(now.Scopes) > 0 && !slices.Equal(sorted(old.Scopes), sorted(now.Scopes)) {
		changes = append(changes, Change{Field: "scopes", Old: strings.Join(old.Scopes, " "), New: strings.Join(now.Scopes, " ")})
	}
	return changes
}

func tenantOf(authority string) string {
	return authority[strings.LastIndexByte(authority, '/')+1:]
}

func sorted(scopes []string) []string {
	s := slices.Clone(scopes)
	slices.Sort(s)
	return slices.Compact(s)
}

func clip(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
