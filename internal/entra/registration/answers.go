package registration

import "strings"

// Answers are what an operator decides; the tags are the keys of answers.yaml.
type Answers struct {
	// Name is shown to people who sign in and to administrators.
	Name string `yaml:"name"`
	// Key is the unique name of the API's registration in the tenant, by which
	// it is found again; made from PublicURL when empty.
	Key      string `yaml:"key"`
	Cloud    string `yaml:"cloud"` // global, usgov or china
	TenantID string `yaml:"tenant_id"`
	// PublicURL is the address that people type, byte for byte.
	PublicURL string `yaml:"public_url"`
	// MoreURLs are further addresses of the same server that clients may send as
	// resource (RFC 8707).
	MoreURLs []string `yaml:"more_urls"`
	// AppIDURI is url, for the public URL itself, or api, for an api:// address,
	// which needs no verified domain but serves fewer clients.
	AppIDURI string   `yaml:"app_id_uri"`
	Scopes   []string `yaml:"scopes"` // what people's clients ask for
	Roles    []string `yaml:"roles"`  // app roles, for people and applications
	Clients  []string `yaml:"clients"`
	// RedirectURIs are added to those of the public client.
	RedirectURIs []string `yaml:"redirect_uris"`
	// AssignmentRequired admits only people and groups who were assigned.
	AssignmentRequired bool `yaml:"assignment_required"`
	// GroupClaims puts the groups that are assigned to the application into tokens.
	GroupClaims bool `yaml:"group_claims"`
	// OnBehalfOf lets the server act for callers at Microsoft Graph.
	OnBehalfOf       bool       `yaml:"on_behalf_of"`
	GraphPermissions []string   `yaml:"graph_permissions"` // delegated
	Credential       Credential `yaml:"credential"`
}

// A Credential is how the server proves to Entra who it is.
type Credential struct {
	Kind string `yaml:"kind"` // one of the Credential constants
	// File is the certificate with its key in PEM, the secret, or the federated
	// token; relative to mcpctl.yaml.
	File string `yaml:"file"`
	// IdentityClientID and IdentityPrincipalID are of a user-assigned managed identity.
	IdentityClientID    string `yaml:"identity_client_id"`
	IdentityPrincipalID string `yaml:"identity_principal_id"`
	// Issuer and Subject are those of the federated token.
	Issuer  string `yaml:"issuer"`
	Subject string `yaml:"subject"`
}

// The kinds of credentials, those without a secret first.
const (
	CredentialNone            = "none"
	CredentialManagedIdentity = "managed-identity"
	CredentialFederated       = "federated"
	CredentialCertificate     = "certificate"
	CredentialSecret          = "secret"
)

// CredentialKinds are the kinds in the order of preference.
var CredentialKinds = []string{CredentialManagedIdentity, CredentialFederated, CredentialCertificate, CredentialSecret, CredentialNone}

// The forms of an Application ID URI.
const (
	AppIDURIPublicURL = "url"
	AppIDURIAPI       = "api"
)

// Fill returns the answers with defaults in place of what was left open.
func (a Answers) Fill() Answers {
	set := func(to *string, value string) {
		if *to == "" {
			*to = value
		}
	}
	set(&a.Cloud, "global")
	set(&a.AppIDURI, AppIDURIPublicURL)
	set(&a.Name, defaultName(a.PublicURL))
	set(&a.Key, defaultKey(a.PublicURL))
	if a.Scopes == nil {
		a.Scopes = []string{"Mcp.Access"}
	}
	if a.OnBehalfOf {
		set(&a.Credential.Kind, CredentialSecret)
		if a.GraphPermissions == nil {
			a.GraphPermissions = []string{"User.Read"}
		}
	}
	set(&a.Credential.Kind, CredentialNone)
	switch a.Credential.Kind {
	case CredentialSecret:
		set(&a.Credential.File, "client-secret.txt")
	case CredentialCertificate:
		set(&a.Credential.File, "credential.pem")
	case CredentialFederated:
		set(&a.Credential.File, "/var/run/secrets/azure/tokens/azure-identity-token")
	}
	a.TenantID = strings.ToLower(a.TenantID)
	return a
}

// ClientKey is the unique name of the public client's registration.
func (a Answers) ClientKey() string { return a.Key + "-client" }

// ClientName is the public client's name for people.
func (a Answers) ClientName() string { return a.Name + " (client)" }

// IdentifierURI is the Application ID URI by which scopes are asked for.
func (a Answers) IdentifierURI() string {
	if a.AppIDURI == AppIDURIAPI {
		// One of the forms that need no verified domain and are known before
		// the application is ("Restrictions on identifier URIs").
		return "api://" + a.TenantID + "/" + a.Key
	}
	return a.PublicURL
}

// identifierURIs are all Application ID URIs but for api://APP-ID.
func (a Answers) identifierURIs() []string {
	if a.AppIDURI == AppIDURIAPI {
		return []string{a.IdentifierURI()}
	}
	return append([]string{a.PublicURL}, a.MoreURLs...)
}
