package server

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mcpctl/mcpctl/server/gateway"
)

// checkTogether finds what is missing and what contradicts. Keys whose value
// was a fault of its own count as present.
func (r *configReader) checkTogether() {
	r.checkAddresses()
	r.checkEntra()
	r.checkUpstreams()
	r.checkToolNames()
	r.checkEvidence()
}

func (r *configReader) checkEvidence() {
	for _, key := range []string{"audit.on_failure", "audit.arguments"} {
		if r.has(key) && !r.has("audit.file") {
			r.missing("audit.file", "Name the file that records go to")
			break
		}
	}
	if r.has("access_log.file") && !r.cfg.AccessLog.Enabled && !r.faulty("access_log.enabled") {
		r.fault(r.at("access_log.file"), "access_log.file", "the access log is off", "Add enabled: true, or remove it")
	}
	if listen := r.cfg.Telemetry.Listen; listen != "" && listen == r.cfg.Listen {
		r.fault(r.at("telemetry.listen"), "telemetry.listen", "this is the address that people call", "Choose another port: metrics are not for everybody")
	}
}

func (r *configReader) missing(key, fix string) {
	r.fault(r.at(key), key, "this is missing", fix)
}

func (r *configReader) exclude(key, other, fix string) {
	if r.has(key) && r.has(other) {
		r.fault(r.at(key), key, "this does not go with "+other, fix)
	}
}

func (r *configReader) checkAddresses() {
	c := r.cfg
	if !r.has("public_url") && c.Listen != "" && !loopbackAddr(c.Listen) {
		r.missing("public_url", "A server that others can reach has to know the address that they type")
	}
	for _, pair := range [][2]string{{"tls.cert_file", "tls.key_file"}, {"tls.key_file", "tls.cert_file"}} {
		if r.has("tls") && !r.has(pair[0]) && r.has(pair[1]) {
			r.missing(pair[0], "TLS needs both files")
		}
	}
	if r.has("tls") && !r.has("tls.cert_file") && !r.has("tls.key_file") {
		r.missing("tls.cert_file", "TLS needs cert_file and key_file; without TLS remove the key tls")
	}
	if r.has("tls") && strings.HasPrefix(c.PublicURL, "http://") {
		r.fault(r.at("public_url"), "public_url", "this begins with http:// though tls is set", "Write https://")
	}
	if slices.Contains(c.AllowedOrigins, "*") && len(c.AllowedOrigins) > 1 {
		r.fault(r.at("allowed_origins"), "allowed_origins", `"*" makes the other origins pointless`, "Keep one or the other")
	}
}

func (r *configReader) checkEntra() {
	e := r.cfg.Entra
	if !r.has("entra") {
		r.missing("entra", "It says whose tokens are accepted: tenant_id, client_id, required_scopes")
		return
	}
	if !r.has("entra.client_id") {
		r.missing("entra.client_id", "It is the Application (client) ID of the API's app registration")
	}
	if !r.has("entra.authority") && !r.has("entra.tenant_id") && !r.has("entra.tenant_ids") {
		r.missing("entra.tenant_id", "It is the Directory (tenant) ID of the people who may come in")
	}
	if r.has("entra.tenant_ids") && len(e.TenantIDs) == 0 {
		r.emptyList("entra.tenant_ids", "List at least one")
	}
	r.exclude("entra.tenant_ids", "entra.tenant_id", "Put all tenants into tenant_ids")
	r.exclude("entra.authority", "entra.cloud", "A development authority belongs to no cloud: remove one")
	switch {
	case r.has("entra.authority") && !r.has("entra.ca_file"):
		r.missing("entra.ca_file", "Name the file with the development authority's CA certificate")
	case r.has("entra.ca_file") && !r.has("entra.authority"):
		r.fault(r.at("entra.ca_file"), "entra.ca_file", "this is for a development authority only", "Remove it, or set authority")
	}
	tenant := strings.ToLower(authorityTenant(e.Authority))
	if own := r.cfg.tenants(); e.Authority != "" && len(own) > 0 && !slices.ContainsFunc(own, func(t string) bool { return strings.EqualFold(t, tenant) }) {
		r.fault(r.at("entra.authority"), "entra.authority", "its tenant is not the one of tenant_id", "Name the same tenant")
	}
	r.checkPermissions()
	r.checkCredentials()
}

func (r *configReader) emptyList(key, fix string) {
	if !r.faulty(key) {
		r.fault(r.at(key), key, "this list is empty", fix)
	}
}

func (r *configReader) checkPermissions() {
	e := r.cfg.Entra
	if !r.has("entra.required_scopes") && !r.has("entra.required_roles") ||
		len(e.RequiredScopes)+len(e.RequiredRoles) == 0 && !r.faulty("entra.required_scopes") && !r.faulty("entra.required_roles") {
		r.fault(r.at("entra.required_scopes"), "entra.required_scopes", "no scope and no role is required, so nobody could come in",
			"Name the scopes that people need (required_scopes: [Mcp.Access]), the roles that applications need (required_roles), or both")
	}
	for i, scope := range e.RequiredScopes {
		own := slices.ContainsFunc(r.cfg.audiences(), func(audience string) bool {
			name, ok := strings.CutPrefix(scope, audience+"/")
			return ok && name != "" && !strings.Contains(name, "/")
		})
		// Where the default App ID URI is still to be made no full name can be judged.
		known := r.cfg.appIDURI() != ""
		if strings.Contains(scope, "/") && known && !own {
			key := fmt.Sprintf("entra.required_scopes[%d]", i)
			r.fault(r.at(key), key, "this is the scope of another API", "Write the short name, like Mcp.Access, or this API's App ID URI, a slash and the name")
		}
	}
}

// faulty reports a fault at the key or below it.
func (r *configReader) faulty(key string) bool {
	return slices.ContainsFunc(r.faults, func(f Fault) bool {
		rest, ok := strings.CutPrefix(f.Key, key)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

func (r *configReader) checkUpstreams() {
	if !r.has("upstreams") {
		r.missing("upstreams", "Name the MCP server to protect: a command, a url, or builtin tools")
		return
	}
	if len(r.cfg.Upstreams) == 0 {
		r.emptyList("upstreams", "Name the MCP server to protect: a command, a url, or builtin tools")
	}
	r.checkUpstreamNames()
	for i, up := range r.cfg.Upstreams {
		key := fmt.Sprintf("upstreams[%d]", i)
		if !slices.ContainsFunc(r.faults, func(f Fault) bool { return f.Key == key }) {
			r.checkUpstream(key, up)
		}
	}
}

// belongsTo names the kind of upstream that a key is for.
var belongsTo = []struct{ key, kind string }{
	{"dir", "command"}, {"env", "command"}, {"process", "command"}, {"idle_stop", "command"}, {"limits", "command"}, {"headers", "url"},
	{"header_files", "url"}, {"on_behalf_of", "url"}, {"client_credentials", "url"}, {"managed_identity", "url"},
}

func (r *configReader) checkUpstream(key string, up Upstream) {
	if !r.has(key + ".name") {
		r.missing(key+".name", "It appears in logs")
	}
	var kinds []string
	for _, kind := range []string{"command", "url", "builtin"} {
		if r.has(key + "." + kind) {
			kinds = append(kinds, kind)
		}
	}
	switch len(kinds) {
	case 0:
		r.fault(r.at(key), key, "nothing says what this upstream is", "Add one of command, url and builtin")
		return
	case 1:
	default:
		r.fault(r.at(key), key, strings.Join(kinds, " and ")+" exclude each other", "Keep one")
		return
	}
	for _, b := range belongsTo {
		if full := key + "." + b.key; r.has(full) && kinds[0] != b.kind {
			r.fault(r.at(full), full, "this is for upstreams with a "+b.kind+" only", "Remove it")
		}
	}
	if full := key + ".idle_stop"; r.has(full) && up.Process == "per-session" {
		r.fault(r.at(full), full, "this does not go with process: per-session, where a process ends with its session", "Remove one")
	}
	if full := key + ".limits"; r.has(full) && len(up.Command) > 0 && !gateway.LimitsSupported {
		r.fault(r.at(full), full, "this needs Linux", "Remove it, and limit the upstream by other means, such as a container")
	}
	if kinds[0] == "builtin" && len(up.Builtin) == 0 {
		r.emptyList(key+".builtin", "Choose what to offer")
	}
	r.checkUpstreamCredentials(key, up)
}
