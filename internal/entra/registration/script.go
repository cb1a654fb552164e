package registration

import (
	"bytes"
	_ "embed"
	"text/template"
)

//go:embed register.sh.tmpl
var scriptText string

// scriptTemplate has no way to put an answer into the script but by sh, json
// and comment, which quote.
var scriptTemplate = template.Must(template.New(ScriptFile).Funcs(template.FuncMap{
	"sh":      shellQuote,
	"json":    func(v any) string { return shellQuote(string(compactJSON(v))) },
	"comment": shellComment,
}).Parse(scriptText))

// federationName names the federated credential among those of the registration.
const federationName = "mcpctl"

// federation is whose tokens stand in for a credential; "" where none do.
func (a Answers) federation() (issuer, subject string) {
	switch a.Credential.Kind {
	case CredentialManagedIdentity:
		return clouds[a.Cloud].login + "/" + a.TenantID + "/v2.0", a.Credential.IdentityPrincipalID
	case CredentialFederated:
		return a.Credential.Issuer, a.Credential.Subject
	}
	return "", ""
}

// script is the program that registers everything by the Azure CLI.
func (a Answers) script() []byte {
	c := clouds[a.Cloud]
	issuer, subject := a.federation()
	preAuthorized, graphIDs := []string{}, []string{}
	for _, client := range a.preAuthorized() {
		preAuthorized = append(preAuthorized, client.AppID)
	}
	for _, p := range a.graphAccess() {
		graphIDs = append(graphIDs, p.ID)
	}
	var b bytes.Buffer
	err := scriptTemplate.Execute(&b, map[string]any{
		"Name": a.Name, "Key": a.Key, "ClientName": a.ClientName(), "ClientKey": a.ClientKey(),
		"TenantID": a.TenantID, "CloudName": c.az, "Login": c.login, "Graph": c.graph,
		"IdentifierURIs": a.identifierURIs(), "Scopes": a.scopes(), "ScopeNames": a.Scopes, "Roles": a.appRoles(), "Claims": a.optionalClaims(),
		"PreAuthorized": preAuthorized, "RedirectURIs": a.redirectURIs(),
		"AssignmentRequired": a.AssignmentRequired, "GroupClaims": a.GroupClaims,
		"OnBehalfOf": a.OnBehalfOf, "GraphAppID": graphAppID, "GraphIDs": graphIDs,
		"CredentialKind": a.Credential.Kind, "CredentialFile": a.Credential.File,
		"Issuer": issuer, "Subject": subject, "FederationName": federationName, "Exchange": c.exchange,
		"PlaceholderAPI": placeholderAPI, "PlaceholderClient": placeholderClient,
		"ResultFile": ResultFile, "ConfigFile": ConfigFile,
		"Fillable": []string{ConfigFile, GuideFile, "api.manifest.json", "client.manifest.json"},
	})
	if err != nil {
		panic("registration: " + err.Error()) // the template is ours, and so are the values' types
	}
	return b.Bytes()
}
