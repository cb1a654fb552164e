package fakeentra

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// GraphClientID is Microsoft Graph's application id, the same in every tenant.
// Each server knows Graph, because Entra resolves unqualified scopes against it.
const GraphClientID = "00000003-0000-0000-c000-000000000000"

// App is an app registration and its service principal. One App may be a
// client, an API, or both. Client ids are compared in lower case.
type App struct {
	Name     string // shown to people
	ClientID string // a GUID; made up if empty

	// As an API.

	IDURIs []string // App ID URIs; "api://{ClientID}" if empty and there are Scopes or Roles
	Scopes []Scope  // delegated permissions
	Roles  []Role   // app roles, for people or applications
	// TokenVersion is requestedAccessTokenVersion: 1 or 2. The default is 1, as
	// at Entra, and holds for tokens from the v2 endpoint too.
	TokenVersion int
	// AssignmentRequired refuses people without an entry for this app in
	// [Person.Roles], and applications without an entry in AppPermissions.
	AssignmentRequired bool
	// PreAuthorized lists client ids that need no consent for the Scopes.
	PreAuthorized []string
	// OptionalClaims are claims that appear in access tokens only on request:
	// "idtyp", "xms_cc", "email", "upn". With xms_cc the API counts as ready for
	// continuous access evaluation.
	OptionalClaims []string
	GroupClaims    bool // put the person's groups into access tokens

	// As a client.

	PublicClient   bool                  // "allow public client flows"
	RedirectURIs   []string              // exact, but any port on http://localhost and http://127.0.0.1
	Secret         string                // a confidential client's secret
	Certificates   []*x509.Certificate   // a confidential client's certificates
	Federated      []FederatedCredential // tokens of other parties that stand for a secret
	AdminConsented []string              // scopes, "URI/name", granted for everybody
	AppPermissions map[string][]string   // app roles granted to this client, by the API's client id
}

// Scope is a delegated permission of an API.
type Scope struct {
	Name        string // "Mcp.Access"
	Description string // shown on the consent part of the sign-in page
	AdminOnly   bool   // people can't consent to it themselves
}

// Role is an app role of an API.
type Role struct {
	Name        string
	Description string
}

// FederatedCredential accepts a token of this authority as client assertion,
// as the managed identity of a workload does.
type FederatedCredential struct {
	Subject  string // the token's sub
	Audience string // the token's aud; "api://AzureADTokenExchange" if empty
}

// Person is somebody who can sign in.
type Person struct {
	Name string
	UPN  string // user principal name, "ada@contoso.example"
	OID  string // a GUID; made up if empty
	Mail string // the email claim; UPN if empty
	// Roles maps a client id in lower case to the person's app roles there. An entry, even
	// an empty one, assigns the person to that app.
	Roles  map[string][]string
	Groups []string // object ids; more than 200 are replaced by the overage claims
}

// directory is the tenant's content. Server.mu guards it.
type directory struct {
	apps     map[string]*App // by lower-case client id
	people   []*Person
	consents map[consentKey][]string // scope names that a person agreed to
	revoked  map[string]time.Time    // by oid: access tokens from before buy nothing
}

type consentKey struct{ client, resource, oid string }

func newDirectory() directory {
	graph := &App{
		Name:     "Microsoft Graph",
		ClientID: GraphClientID,
		IDURIs:   []string{"https://graph.microsoft.com"},
		Scopes: []Scope{
			{Name: "User.Read", Description: "Sign you in and read your profile"},
			{Name: "Mail.Read", Description: "Read your mail"},
			{Name: "GroupMember.Read.All", Description: "Read group memberships", AdminOnly: true},
		},
		Roles:          []Role{{Name: "User.Read.All"}, {Name: "GroupMember.Read.All"}},
		TokenVersion:   1,
		OptionalClaims: []string{"idtyp", "xms_cc"},
	}
	return directory{
		apps:     map[string]*App{GraphClientID: graph},
		consents: map[consentKey][]string{},
		revoked:  map[string]time.Time{},
	}
}

// RegisterApp adds an app or replaces the one with the same client id, and
// returns it with the defaults filled in. Its slices and maps belong to the
// server from then on: change a copy and register that.
func (s *Server) RegisterApp(a App) (App, error) {
	if a.ClientID == "" {
		a.ClientID = newGUID()
	}
	if !isGUID(a.ClientID) {
		return App{}, fmt.Errorf("registering %q: client id %q is not a GUID", a.Name, a.ClientID)
	}
	a.ClientID = strings.ToLower(a.ClientID)
	if a.Name == "" {
		a.Name = a.ClientID
	}
	if a.TokenVersion == 0 {
		a.TokenVersion = 1
	}
	if a.TokenVersion != 1 && a.TokenVersion != 2 {
		return App{}, fmt.Errorf("registering %q: token version %d is neither 1 nor 2", a.Name, a.TokenVersion)
	}
	if len(a.IDURIs) == 0 && (len(a.Scopes) > 0 || len(a.Roles) > 0) {
		a.IDURIs = []string{"api://" + a.ClientID}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, uri := range a.IDURIs {
		if other := s.dir.byURI(uri); other != nil && other.ClientID != a.ClientID {
			return App{}, fmt.Errorf("registering %q: App ID URI %q already belongs to %q", a.Name, uri, other.Name)
		}
	}
	s.dir.apps[a.ClientID] = new(a)
	return a, nil
}

// AddPerson adds a person or replaces the one with the same UPN, and returns
// it with the defaults filled in. Its slices and maps belong to the server from
// then on.
func (s *Server) AddPerson(p Person) (Person, error) {
	if p.UPN == "" || p.Name == "" {
		return Person{}, errors.New("adding a person: name and UPN are required")
	}
	if p.OID == "" {
		p.OID = newGUID()
	}
	if !isGUID(p.OID) {
		return Person{}, fmt.Errorf("adding %q: oid %q is not a GUID", p.UPN, p.OID)
	}
	if p.Mail == "" {
		p.Mail = p.UPN
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, old := range s.dir.people {
		if strings.EqualFold(old.UPN, p.UPN) {
			s.dir.people[i] = &p
			return p, nil
		}
	}
	s.dir.people = append(s.dir.people, &p)
	return p, nil
}

// People lists everybody in the order in which they were added.
func (s *Server) People() []Person {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Person, 0, len(s.dir.people))
	for _, p := range s.dir.people {
		out = append(out, *p)
	}
	return out
}

// Revoke ends the person's sessions, as a password reset or an administrator's
// "revoke sessions" does: refresh tokens issued so far fail with AADSTS50173.
// Access tokens live on until they expire.
func (s *Server) Revoke(upn string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.dir.person(upn)
	if p == nil {
		return fmt.Errorf("revoking sessions: nobody is called %q", upn)
	}
	now := s.clock()
	s.dir.revoked[p.OID] = now
	s.refresh.revoke(p.OID, now)
	return nil
}

func (d *directory) app(clientID string) *App { return d.apps[strings.ToLower(clientID)] }

func (d *directory) byURI(uri string) *App {
	for _, a := range d.apps {
		if slices.Contains(a.IDURIs, uri) {
			return a
		}
	}
	return nil
}

// resource finds an API by App ID URI or client id.
func (d *directory) resource(id string) *App {
	if a := d.byURI(id); a != nil {
		return a
	}
	return d.app(id)
}

func (d *directory) person(upn string) *Person {
	for _, p := range d.people {
		if strings.EqualFold(p.UPN, upn) {
			return p
		}
	}
	return nil
}

func (d *directory) personByOID(oid string) *Person {
	for _, p := range d.people {
		if p.OID == oid {
			return p
		}
	}
	return nil
}

func (a *App) scope(name string) *Scope {
	for i := range a.Scopes {
		if a.Scopes[i].Name == name {
			return &a.Scopes[i]
		}
	}
	return nil
}

func (a *App) optional(claim string) bool { return slices.Contains(a.OptionalClaims, claim) }

// confidential tells whether the app has any credential of its own.
func (a *App) confidential() bool {
	return a.Secret != "" || len(a.Certificates) > 0 || len(a.Federated) > 0
}

// assigned tells whether the person may get tokens for the API.
func (p *Person) assigned(a *App) bool {
	if !a.AssignmentRequired {
		return true
	}
	_, ok := p.Roles[a.ClientID]
	return ok
}

// consented tells whether the client may use the scope for the person.
func (d *directory) consented(client, api *App, p *Person, scope string) bool {
	if client.ClientID == api.ClientID || slices.Contains(api.PreAuthorized, client.ClientID) {
		return true
	}
	for _, uri := range append([]string{api.ClientID}, api.IDURIs...) {
		if slices.Contains(client.AdminConsented, uri+"/"+scope) {
			return true
		}
	}
	return slices.Contains(d.consents[consentKey{client.ClientID, api.ClientID, p.OID}], scope)
}

func (d *directory) consent(client, api *App, p *Person, scopes []string) {
	key := consentKey{client.ClientID, api.ClientID, p.OID}
	for _, scope := range scopes {
		if !slices.Contains(d.consents[key], scope) {
			d.consents[key] = append(d.consents[key], scope)
		}
	}
}
