package registration

import (
	"bytes"
	"fmt"
	"strings"
)

// guide says what to do with the files, and what to tell people.
func (a Answers) guide(ids IDs) []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# %s behind Microsoft Entra ID", markdown(a.Name))
	line("")
	line("Written by `mcpctl setup entra`. Everything here can be read before it is run, and run again after a change.")
	line("")
	line("## 1. Register")
	line("")
	line("As an Application Administrator, where the Azure CLI and jq are (https://shell.azure.com has both):")
	line("")
	line("```sh")
	line("az login --tenant %s --allow-no-subscriptions", a.TenantID)
	line("bash %s", ScriptFile)
	line("```")
	line("")
	line("It puts the ids that Entra gives out into `%s`, `%s` and this file. With Bicep instead, deploy `main.bicep` and", ResultFile, ConfigFile)
	line("put its outputs in place of the ids `00000000-…-aa` (API) and `00000000-…-cc` (client).")
	line("`api.manifest.json` and `client.manifest.json` show the same for the portal's manifest editor.")
	line("")
	line("## 2. Agree for the organisation")
	line("")
	line("An administrator opens, once:")
	line("")
	for _, address := range a.ConsentURLs(ids) {
		line("- %s", address)
	}
	if len(a.ConsentURLs(ids)) == 0 {
		line("- nothing: only applications call this server; grant them their app role under their API permissions")
	}
	line("")
	if a.AssignmentRequired {
		line("Only people and groups who are assigned come in: Entra admin center > Enterprise applications > %s >", markdown(a.Name))
		line("Users and groups > Add user/group.")
		line("")
	}
	line("## 3. Serve")
	line("")
	line("Put your MCP server under `upstreams` in `%s`, whose lower part is yours to edit, then:", ConfigFile)
	line("")
	line("```sh")
	line("mcpctl serve --config %s", ConfigFile)
	line("```")
	line("")
	if len(a.Scopes) > 0 {
		a.guidePeople(line, ids)
	}
	a.guideApplications(line, ids)
	line("## If something fails")
	line("")
	line("`mcpctl explain` takes the code, or the whole error as it was shown: `mcpctl explain AADSTS50011`.")
	return b.Bytes()
}

// guidePeople is for those at a desk.
func (a Answers) guidePeople(line func(string, ...any), ids IDs) {
	line("## 4. Connect people")
	line("")
	line("Each person signs in once, then adds the server to their client:")
	line("")
	line("```sh")
	line("mcpctl login %s", a.PublicURL)
	bridged := 0
	for _, c := range a.chosen() {
		if c.Bridged {
			line("mcpctl install %s %s", c.Name, a.PublicURL)
			bridged++
		}
	}
	if bridged == 0 {
		line("mcpctl install claude-desktop %s", a.PublicURL)
	}
	line("```")
	line("")
	line("Clients that connect by themselves need:")
	line("")
	line("| | |")
	line("|-|-|")
	line("| Address | `%s` |", a.PublicURL)
	line("| Client id | `%s` |", ids.client())
	line("| Scopes | `%s` |", strings.Join(a.fullScopes(), "` `"))
	line("| Tenant | `%s` |", a.TenantID)
	line("")
	for _, c := range a.chosen() {
		switch {
		case c.Name == "claude-ai":
			line("- %s: Settings > Connectors > Add custom connector, with the address and, under Advanced settings, the client id.", c.Title)
		case c.Name == "azure-cli":
			line("- %s: `az account get-access-token --tenant %s --scope %s`", c.Title, a.TenantID, a.fullScopes()[0])
		case c.AppID != "":
			line("- %s can also sign in by itself, with its own client id, which is pre-authorized.", c.Title)
		}
	}
	if len(a.chosen()) > 0 {
		line("")
	}
}

// guideApplications is for callers that are no people.
func (a Answers) guideApplications(line func(string, ...any), ids IDs) {
	if len(a.Roles) == 0 {
		return
	}
	line("## Applications on their own")
	line("")
	line("Grant the calling application an app role (%s): App registrations > it > API permissions > Add a permission >", strings.Join(a.Roles, ", "))
	line("APIs my organization uses > %s > Application permissions, then Grant admin consent. It asks for the scope", markdown(a.Name))
	line("`%s/.default`, and its tokens are for `%s`.", a.IdentifierURI(), ids.api())
	line("")
}

// markdown keeps an answer from being read as Markdown or HTML.
func markdown(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("\\`*_{}[]<>()#+!|&~", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
