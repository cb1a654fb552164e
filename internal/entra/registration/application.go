package registration

// An application is Microsoft Graph's resource of that name, as far as it
// matters here; it is also the form of the portal's manifest editor.
type application struct {
	DisplayName            string           `json:"displayName"`
	UniqueName             string           `json:"uniqueName"`
	SignInAudience         string           `json:"signInAudience"`
	IdentifierURIs         []string         `json:"identifierUris,omitempty"`
	API                    *api             `json:"api,omitempty"`
	AppRoles               []appRole        `json:"appRoles,omitempty"`
	GroupMembershipClaims  string           `json:"groupMembershipClaims,omitempty"`
	OptionalClaims         *optionalClaims  `json:"optionalClaims,omitempty"`
	IsFallbackPublicClient bool             `json:"isFallbackPublicClient,omitempty"`
	PublicClient           *publicClient    `json:"publicClient,omitempty"`
	RequiredResourceAccess []resourceAccess `json:"requiredResourceAccess,omitempty"`
}

type api struct {
	RequestedAccessTokenVersion int             `json:"requestedAccessTokenVersion"`
	Scopes                      []scope         `json:"oauth2PermissionScopes,omitempty"`
	PreAuthorized               []preAuthorized `json:"preAuthorizedApplications,omitempty"`
	KnownClients                []string        `json:"knownClientApplications,omitempty"`
}

type scope struct {
	ID                      string `json:"id"`
	Value                   string `json:"value"`
	Type                    string `json:"type"`
	IsEnabled               bool   `json:"isEnabled"`
	AdminConsentDisplayName string `json:"adminConsentDisplayName"`
	AdminConsentDescription string `json:"adminConsentDescription"`
	UserConsentDisplayName  string `json:"userConsentDisplayName"`
	UserConsentDescription  string `json:"userConsentDescription"`
}

type appRole struct {
	ID                 string   `json:"id"`
	Value              string   `json:"value"`
	DisplayName        string   `json:"displayName"`
	Description        string   `json:"description"`
	AllowedMemberTypes []string `json:"allowedMemberTypes"`
	IsEnabled          bool     `json:"isEnabled"`
}

type optionalClaims struct {
	AccessToken []optionalClaim `json:"accessToken"`
}

type optionalClaim struct {
	Name      string `json:"name"`
	Essential bool   `json:"essential"`
}

type preAuthorized struct {
	AppID       string   `json:"appId"`
	Permissions []string `json:"delegatedPermissionIds"`
}

type publicClient struct {
	RedirectURIs []string `json:"redirectUris"`
}

type resourceAccess struct {
	ResourceAppID string       `json:"resourceAppId"`
	Access        []permission `json:"resourceAccess"`
}

type permission struct {
	ID   string `json:"id"`
	Type string `json:"type"` // Scope
}

// Single-tenant: only accounts of the tenant itself, guests included.
const ownTenant = "AzureADMyOrg"

// apiApplication is the registration of the server, whose tokens' audience it is.
func (a Answers) apiApplication(ids IDs) application {
	app := application{
		DisplayName: a.Name, UniqueName: a.Key, SignInAudience: ownTenant,
		IdentifierURIs: append(a.identifierURIs(), "api://"+ids.api()),
		API: &api{
			RequestedAccessTokenVersion: 2,
			Scopes:                      a.scopes(),
			PreAuthorized:               a.preAuthorizations(ids),
			KnownClients:                []string{ids.client()},
		},
		AppRoles:       a.appRoles(),
		OptionalClaims: &optionalClaims{a.optionalClaims()},
	}
	if a.GroupClaims {
		app.GroupMembershipClaims = assignedGroups
	}
	if a.OnBehalfOf {
		app.RequiredResourceAccess = []resourceAccess{{graphAppID, a.graphAccess()}}
	}
	return app
}

// assignedGroups keeps tokens small: only groups that are assigned to the
// application are in them, so that the limit of 200 isn't met.
const assignedGroups = "ApplicationGroup"

// clientApplication is the registration of mcpctl login and other clients of
// people's. It is not that of the API: AADSTS90009 otherwise.
func (a Answers) clientApplication(ids IDs) application {
	var access []permission
	for _, s := range a.scopes() {
		access = append(access, permission{s.ID, "Scope"})
	}
	app := application{
		DisplayName: a.ClientName(), UniqueName: a.ClientKey(), SignInAudience: ownTenant,
		IsFallbackPublicClient: true,
		PublicClient:           &publicClient{a.redirectURIs()},
	}
	if len(access) > 0 {
		app.RequiredResourceAccess = []resourceAccess{{ids.api(), access}}
	}
	return app
}

// maxConsentName bounds what a consent page calls a scope.
const maxConsentName = 100

func (a Answers) scopes() []scope {
	list := []scope{}
	for _, value := range a.Scopes {
		text := "Use this MCP server: " + value
		text = text[:min(len(text), maxConsentName)]
		list = append(list, scope{
			ID: guidFor(a.Key, "scope", value), Value: value, Type: "User", IsEnabled: true,
			AdminConsentDisplayName: text, AdminConsentDescription: "Allows the application to use the tools of this MCP server on behalf of the person who signed in.",
			UserConsentDisplayName: text, UserConsentDescription: "Allows the application to use the tools of this MCP server on your behalf.",
		})
	}
	return list
}

func (a Answers) appRoles() []appRole {
	list := []appRole{}
	for _, value := range a.Roles {
		list = append(list, appRole{
			ID: guidFor(a.Key, "role", value), Value: value, DisplayName: value,
			Description:        "Is " + value + " at this MCP server.",
			AllowedMemberTypes: []string{"User", "Application"}, IsEnabled: true,
		})
	}
	return list
}

// optionalClaims tell applications from people (idtyp), and clients that can
// answer a claims challenge from others (xms_cc).
func (a Answers) optionalClaims() []optionalClaim {
	return []optionalClaim{{Name: "idtyp"}, {Name: "xms_cc"}}
}

func (a Answers) preAuthorizations(ids IDs) []preAuthorized {
	permissions := []string{}
	for _, s := range a.scopes() {
		permissions = append(permissions, s.ID)
	}
	list := []preAuthorized{}
	if len(permissions) == 0 {
		return list
	}
	list = append(list, preAuthorized{ids.client(), permissions})
	for _, c := range a.preAuthorized() {
		list = append(list, preAuthorized{c.AppID, permissions})
	}
	return list
}

func (a Answers) graphAccess() []permission {
	list := []permission{}
	for _, name := range a.GraphPermissions {
		list = append(list, permission{graphPermissions[name], "Scope"})
	}
	return list
}
