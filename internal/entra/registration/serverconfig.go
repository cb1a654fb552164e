package registration

import (
	"bytes"
	"fmt"
)

// ownPart is the line from which on mcpctl.yaml is the operator's.
const ownPart = "# From here on this file is yours: mcpctl setup entra leaves it as it is."

// KeepOwn returns a new mcpctl.yaml with the operator's part of the old one.
func KeepOwn(old, anew []byte) []byte {
	mark := []byte("\n" + ownPart + "\n")
	theirs, ours := bytes.Index(old, mark), bytes.Index(anew, mark)
	if theirs < 0 || ours < 0 {
		return anew
	}
	return append(bytes.Clone(anew[:ours]), old[theirs:]...)
}

// serverConfig is the mcpctl.yaml that goes with the registration.
func (a Answers) serverConfig(ids IDs) []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Configuration of: mcpctl serve --config %s", ConfigFile)
	line("# This part is written by mcpctl setup entra. The ids are those that %s", ScriptFile)
	line("# has put into %s.", ResultFile)
	line("public_url: %s", yamlQuote(a.PublicURL))
	line("")
	line("entra:")
	if a.Cloud != "global" {
		line("  cloud: %s", a.Cloud)
	}
	line("  tenant_id: %s", quotedID(a.TenantID))
	line("  client_id: %s", quotedID(ids.api()))
	line("  app_id_uri: %s", yamlQuote(a.IdentifierURI()))
	if len(a.Scopes) > 0 {
		line("  required_scopes: %s", yamlList(a.Scopes))
	}
	if len(a.Roles) > 0 {
		line("  # App roles of which an application on its own needs one.")
		line("  required_roles: %s", yamlList(a.Roles))
	}
	if len(a.Scopes) > 0 {
		line("  public_client_id: %s", quotedID(ids.client()))
	}
	a.credentialConfig(line)
	line("")
	line(ownPart)
	line("# Relative paths start at the folder of this file.")
	line("")
	line("# Behind a reverse proxy on the same machine leave it as it is.")
	line("listen: 127.0.0.1:8080")
	line("")
	line("# The MCP server to protect. Put yours in place of the built-in tools:")
	line("#   - name: files")
	line("#     command: [npx, -y, \"@modelcontextprotocol/server-filesystem\", /srv/data]")
	line("#   - name: crm")
	line("#     url: https://crm.internal/mcp")
	line("upstreams:")
	line("  - name: me")
	if a.OnBehalfOf {
		line("    builtin: [whoami, graph]")
	} else {
		line("    builtin: [whoami]")
	}
	return b.Bytes()
}

// quotedID keeps ids that consist of digits and an e from being read as numbers.
func quotedID(id string) string { return `"` + id + `"` }

func (a Answers) credentialConfig(line func(string, ...any)) {
	var key string
	value := yamlQuote(a.Credential.File)
	switch a.Credential.Kind {
	case CredentialManagedIdentity:
		key, value = "managed_identity", quotedID(a.Credential.IdentityClientID)
	case CredentialFederated:
		key = "federated_token_file"
	case CredentialCertificate:
		key = "certificate_file"
	case CredentialSecret:
		key = "client_secret_file"
	default:
		return
	}
	line("  credential:")
	line("    %s: %s", key, value)
}
