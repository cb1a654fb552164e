package registration

import (
	"bytes"
	"fmt"
	"strings"
)

// bicepExtension is the version of Microsoft Graph's types for Bicep.
const bicepExtension = "br:mcr.microsoft.com/bicep/extensions/microsoftgraph/v1.0:1.0.0"

func bicepConfig() []byte {
	return indentedJSON(map[string]any{"extensions": map[string]string{"microsoftGraphV1": bicepExtension}})
}

// bicep is the registration for those who deploy with Bicep. It makes the same
// objects as the script, found by the same unique names, but for two things
// that Bicep can't express, since a resource can't refer to itself or in a circle.
func (a Answers) bicep() []byte {
	w := &bicepWriter{}
	w.line("// Registers %s in Microsoft Entra ID.", shellComment(a.Name))
	w.line("//   az deployment group create --resource-group GROUP --template-file main.bicep")
	w.line("// The outputs are the ids for %s. Compared with %s two things are", ConfigFile, ScriptFile)
	w.line("// missing, which a resource can't say about itself or in a circle: the address")
	w.line("// api://APP-ID, and the scopes among the API permissions of the client, which is")
	w.line("// pre-authorized for them instead.")
	w.line("extension microsoftGraphV1")
	w.line("")
	client := a.clientApplication(IDs{})
	w.open("resource client 'Microsoft.Graph/applications@v1.0' = {")
	w.text("uniqueName", client.UniqueName)
	w.text("displayName", client.DisplayName)
	w.text("signInAudience", client.SignInAudience)
	w.line("isFallbackPublicClient: true")
	w.open("publicClient: {")
	w.list("redirectUris", client.PublicClient.RedirectURIs)
	w.close("}")
	w.close("}")
	w.line("")
	w.open("resource clientPrincipal 'Microsoft.Graph/servicePrincipals@v1.0' = {")
	w.line("appId: client.appId")
	w.close("}")
	w.line("")
	a.bicepAPI(w)
	w.line("")
	w.open("resource apiPrincipal 'Microsoft.Graph/servicePrincipals@v1.0' = {")
	w.line("appId: api.appId")
	w.line("appRoleAssignmentRequired: %t", a.AssignmentRequired)
	w.close("}")
	if issuer, subject := a.federation(); issuer != "" {
		w.line("")
		w.open("resource credential 'Microsoft.Graph/applications/federatedIdentityCredentials@v1.0' = {")
		w.line("name: '${api.uniqueName}/%s'", federationName)
		w.text("issuer", issuer)
		w.text("subject", subject)
		w.list("audiences", []string{clouds[a.Cloud].exchange})
		w.close("}")
	}
	w.line("")
	w.line("output tenantId string = %s", bicepQuote(a.TenantID))
	w.line("output apiClientId string = api.appId")
	w.line("output publicClientId string = client.appId")
	return w.b.Bytes()
}

func (a Answers) bicepAPI(w *bicepWriter) {
	app := a.apiApplication(IDs{})
	w.open("resource api 'Microsoft.Graph/applications@v1.0' = {")
	w.text("uniqueName", app.UniqueName)
	w.text("displayName", app.DisplayName)
	w.text("signInAudience", app.SignInAudience)
	w.line("// Version 2 tokens: Entra takes the address of the server only with them.")
	w.list("identifierUris", a.identifierURIs())
	w.open("api: {")
	w.line("requestedAccessTokenVersion: %d", app.API.RequestedAccessTokenVersion)
	w.open("oauth2PermissionScopes: [")
	for _, s := range app.API.Scopes {
		w.open("{")
		w.text("id", s.ID)
		w.text("value", s.Value)
		w.text("type", s.Type)
		w.line("isEnabled: true")
		w.text("adminConsentDisplayName", s.AdminConsentDisplayName)
		w.text("adminConsentDescription", s.AdminConsentDescription)
		w.text("userConsentDisplayName", s.UserConsentDisplayName)
		w.text("userConsentDescription", s.UserConsentDescription)
		w.close("}")
	}
	w.close("]")
	w.open("preAuthorizedApplications: [")
	for _, p := range app.API.PreAuthorized {
		w.open("{")
		if p.AppID == placeholderClient {
			w.line("appId: client.appId")
		} else {
			w.text("appId", p.AppID)
		}
		w.list("delegatedPermissionIds", p.Permissions)
		w.close("}")
	}
	w.close("]")
	w.open("knownClientApplications: [")
	w.line("client.appId")
	w.close("]")
	w.close("}")
	w.open("appRoles: [")
	for _, r := range app.AppRoles {
		w.open("{")
		w.text("id", r.ID)
		w.text("value", r.Value)
		w.text("displayName", r.DisplayName)
		w.text("description", r.Description)
		w.list("allowedMemberTypes", r.AllowedMemberTypes)
		w.line("isEnabled: true")
		w.close("}")
	}
	w.close("]")
	w.open("optionalClaims: {")
	w.open("accessToken: [")
	for _, c := range app.OptionalClaims.AccessToken {
		w.open("{")
		w.text("name", c.Name)
		w.line("essential: %t", c.Essential)
		w.close("}")
	}
	w.close("]")
	w.close("}")
	if app.GroupMembershipClaims != "" {
		w.text("groupMembershipClaims", app.GroupMembershipClaims)
	}
	for _, r := range app.RequiredResourceAccess {
		w.open("requiredResourceAccess: [")
		w.open("{")
		w.text("resourceAppId", r.ResourceAppID)
		w.open("resourceAccess: [")
		for _, p := range r.Access {
			w.open("{")
			w.text("id", p.ID)
			w.text("type", p.Type)
			w.close("}")
		}
		w.close("]")
		w.close("}")
		w.close("]")
	}
	w.close("}")
}

// bicepWriter indents as bicep format does.
type bicepWriter struct {
	b     bytes.Buffer
	depth int
}

func (w *bicepWriter) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if text != "" {
		text = strings.Repeat("  ", w.depth) + text
	}
	w.b.WriteString(text + "\n")
}

func (w *bicepWriter) open(text string) {
	w.line("%s", text)
	w.depth++
}

func (w *bicepWriter) close(text string) {
	w.depth--
	w.line("%s", text)
}

func (w *bicepWriter) text(key, value string) { w.line("%s: %s", key, bicepQuote(value)) }

func (w *bicepWriter) list(key string, values []string) {
	w.open(key + ": [")
	for _, v := range values {
		w.line("%s", bicepQuote(v))
	}
	w.close("]")
}
