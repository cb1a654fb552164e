package server_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/mcpctl/mcpctl/server"
	"github.com/mcpctl/mcpctl/server/gateway"
)

var update = flag.Bool("update", false, "write golden files instead of comparing")

const minimal = `
entra:
  tenant_id: 00000000-0000-0000-0000-000000000001
  client_id: 00000000-0000-0000-0000-000000000002
  required_scopes: [Mcp.Access]
upstreams:
  - name: me
    builtin: [whoami]
`

func parse(t *testing.T, text string) (server.Config, []server.Fault) {
	t.Helper()
	cfg, err := server.ParseConfig("mcpctl.yaml", []byte(text))
	if err == nil {
		return cfg, nil
	}
	var faulty *server.ConfigError
	if !errors.As(err, &faulty) {
		t.Fatalf("got %T %v, want a *ConfigError", err, err)
	}
	return cfg, faulty.Faults
}

func TestExampleIsValid(t *testing.T) {
	cfg, err := server.ReadConfig("../examples/mcpctl.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.PublicURL != "https://mcp.contoso.com/mcp" || len(cfg.Upstreams) != 1 || cfg.Upstreams[0].Command[0] != "npx" {
		t.Errorf("got %+v", cfg)
	}
}

// What stands in comments of the example is advice, and has to work too.
func TestExampleIsValidWithItsComments(t *testing.T) {
	raw, err := os.ReadFile("../examples/mcpctl.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"tls.crt", "tls.key", "dev-ca.pem"} {
		write(t, filepath.Join(dir, name), "")
	}
	limits := [2]string{"# limits: {", "limits: {"}
	if !gateway.LimitsSupported {
		limits[1] = limits[0] // a fault there
	}
	text := strings.NewReplacer(
		limits[0], limits[1],
		"# tls:", "tls:", "#   cert_file: /etc/mcpctl/tls.crt", "  cert_file: tls.crt", "#   key_file: /etc/mcpctl/tls.key", "  key_file: tls.key",
		"# cloud:", "cloud:", "# required_roles:", "required_roles:", "# allowed_clients:", "allowed_clients:",
		"# dir: /srv", "dir: .", "# env:\n    #  ", "env:\n     ", "# process:", "process:", "# idle_stop:", "idle_stop:",
		"# limits:", "limits:", "#   body:", "  body:", "#   #", "  #", "#   sessions_per_user:", "  sessions_per_user:",
		"#   sessions:", "  sessions:", "#   session_idle:", "  session_idle:", "#   processes:", "  processes:", "#   processes_per_user:", "  processes_per_user:", "#   pending_requests:", "  pending_requests:", "#   queue:", "  queue:",
		"#   event_bytes:", "  event_bytes:", "#   token:", "  token:", "#   requests_per_minute:", "  requests_per_minute:", "#   burst:", "  burst:",
		"#   concurrent_requests:", "  concurrent_requests:", "#   tools:", "  tools:", "#     - {tool:", "    - {tool:",
		"# policy:", "policy:", "# cache:", "cache:", "#   - {", "  - {", "#   - allow", "  - allow",
		"# audit:", "audit:", "#   file: /var/log/mcpctl/", "  file: ", "# allowed_origins:", "allowed_origins:",
		"#   on_failure:", "  on_failure:", "#   arguments:", "  arguments:", "# access_log:", "access_log:", "#   enabled:", "  enabled:",
		"# telemetry:", "telemetry:", "#   listen:", "  listen:", "#   otlp_endpoint:", "  otlp_endpoint:", "#   hashed_user:", "  hashed_user:",
		"# drain_timeout:", "drain_timeout:", "# drain_delay:", "drain_delay:",
	).Replace(string(raw))
	cfg, err := server.ParseConfig(filepath.Join(dir, "mcpctl.yaml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := server.Config{
		Listen: "127.0.0.1:8080", PublicURL: "https://mcp.contoso.com/mcp",
		TLS: server.TLS{CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")},
		Entra: server.Entra{
			Cloud: "global", TenantID: "00000000-0000-0000-0000-000000000001", ClientID: "00000000-0000-0000-0000-000000000002",
			AppIDURI: "api://00000000-0000-0000-0000-000000000002", RequiredScopes: []string{"Mcp.Access"}, RequiredRoles: []string{"Mcp.Invoke"},
			AllowedClients: []string{"00000000-0000-0000-0000-000000000003"}, PublicClientID: "00000000-0000-0000-0000-000000000003",
		},
		Upstreams: []server.Upstream{{
			Name: "files", Command: []string{"npx", "-y", "@modelcontextprotocol/server-filesystem", "/srv/data"}, Dir: dir,
			Env: map[string]string{"LOG_LEVEL": "info"}, Process: "per-user", IdleStop: 10 * time.Minute,
		}},
		Limits: server.Limits{
			Body: 8 << 20, SessionsPerUser: 100, Sessions: 10_000, SessionIdle: 30 * time.Minute, Processes: 100, ProcessesPerUser: 10,
			PendingRequests: 8192, Queue: 256,
			EventBytes: 4 << 20, Token: 32 << 10, RequestsPerMinute: 600, Burst: 100, ConcurrentRequests: 20,
			Tools: []server.ToolLimit{{Tool: "search", RequestsPerMinute: 60, ConcurrentRequests: 10}},
		},
		Policy:         []server.PolicyRule{{Allow: "tool.annotations.readOnlyHint"}, {Name: "writers", Allow: `"Writer" in user.roles`}},
		Cache:          []server.CacheRule{{Tool: "search", TTL: 5 * time.Minute}, {Resource: "file:///docs/*", TTL: time.Hour, Public: true}},
		Audit:          server.Audit{File: filepath.Join(dir, "audit.jsonl"), OnFailure: "stop", Arguments: "hash"},
		AccessLog:      server.AccessLog{Enabled: true, File: filepath.Join(dir, "access.jsonl")},
		Telemetry:      server.Telemetry{Listen: "127.0.0.1:9464", OTLPEndpoint: "http://127.0.0.1:4318"},
		DrainTimeout:   10 * time.Second,
		AllowedOrigins: []string{"https://app.contoso.com"},
	}
	if gateway.LimitsSupported {
		want.Upstreams[0].Limits = server.ProcessLimits{Memory: 1 << 30, OpenFiles: 1024, Processes: 500, CPU: time.Hour}
	}
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got  %+v\nwant %+v", cfg, want)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Whole reports, as an operator gets them. -update rewrites them.
func TestReports(t *testing.T) {
	files, err := filepath.Glob("testdata/config/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = server.ParseConfig("mcpctl.yaml", raw)
			if err == nil {
				t.Fatal("the file was accepted")
			}
			here, err2 := filepath.Abs(".")
			if err2 != nil {
				t.Fatal(err2)
			}
			got := strings.ReplaceAll(err.Error(), here+string(filepath.Separator), "DIR/") + "\n"
			if strings.Contains(got, "s3cr3t") {
				t.Errorf("the report repeats a secret:\n%s", got)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				write(t, golden, got)
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// Each case changes the minimal configuration; want is KEY: what is wrong, or
// "" for a valid one.
func TestValues(t *testing.T) {
	const tenant, client = "  tenant_id: 00000000-0000-0000-0000-000000000001\n", "  client_id: 00000000-0000-0000-0000-000000000002\n"
	const builtin = "    builtin: [whoami]\n"
	for _, tt := range []struct {
		name, old, replacement, want string
	}{
		{"minimal", "", "", ""},
		{"ipv6", "", "listen: '[::1]:0'", ""},
		{"all interfaces", "", "listen: :8080", "public_url: this is missing"},
		{"all interfaces, public", "", "listen: :8080\npublic_url: https://a.example/mcp", ""},
		{"port only", "", "listen: 8080", "listen: this must be text and is a number"},
		{"port name", "", "listen: localhost:http", "listen: the port is not a number"},
		{"port too large", "", "listen: 127.0.0.1:65536", "listen: the port is not a number"},
		{"address with scheme", "", "listen: http://127.0.0.1:80", "listen: this is not an address to listen on"},

		{"http on loopback", "", "public_url: http://127.0.0.1:8080/mcp", ""},
		{"http on localhost", "", "public_url: http://localhost:8080/mcp", ""},
		{"http elsewhere", "", "public_url: http://mcp.contoso.com/mcp", "public_url: http:// would send tokens in the clear"},
		{"relative", "", "public_url: /mcp", "public_url: this is not an absolute https:// address"},
		{"no path", "", "public_url: https://mcp.contoso.com", "public_url: the address has no path"},
		{"slash", "", "public_url: https://mcp.contoso.com/mcp/", "public_url: the address must not end with a slash"},
		{"query", "", "public_url: https://mcp.contoso.com/mcp?", "public_url: the address must have no query"},
		{"fragment", "", "public_url: 'https://mcp.contoso.com/mcp#'", "public_url: the address must have no query"},
		{"user", "", "public_url: https://a:b@mcp.contoso.com/mcp", "public_url: an address with a user name"},
		{"escapes", "", "public_url: https://mcp.contoso.com/%6dcp", "public_url: the path must consist of plain segments"},
		{"wildcard", "", "public_url: https://mcp.contoso.com/{x}", "public_url: the path must consist of plain segments"},
		{"dots", "", "public_url: https://mcp.contoso.com/a/../mcp", "public_url: the path must consist of plain segments"},
		{"reserved", "", "public_url: https://mcp.contoso.com/sse", "public_url: the path /sse serves something else"},
		{"well-known", "", "public_url: https://mcp.contoso.com/.well-known/x", "public_url: the path /.well-known/x serves something else"},

		{"no certificate", "", "tls: {key_file: config_test.go}", "tls.cert_file: this is missing"},
		{"no key", "", "tls: {cert_file: config_test.go}", "tls.key_file: this is missing"},
		{"no such file", "", "tls: {cert_file: none.pem, key_file: config_test.go}", "tls.cert_file: there is no file"},
		{"tls and http", "", "public_url: http://127.0.0.1:1/mcp\ntls: {cert_file: config_test.go, key_file: config_test.go}", "public_url: this begins with http:// though tls is set"},

		{"tenant by name", tenant, "  tenant_id: contoso.com\n", "entra.tenant_id: this is not a GUID"},
		{"no tenant", tenant, "", "entra.tenant_id: this is missing"},
		{"tenants", tenant, "  tenant_ids: [00000000-0000-0000-0000-000000000001]\n", ""},
		{"no tenants", tenant, "  tenant_ids: []\n", "entra.tenant_ids: this list is empty"},
		{"a tenant twice", tenant, "  tenant_ids: [00000000-0000-0000-0000-000000000001, 00000000-0000-0000-0000-000000000001]\n", "entra.tenant_ids[1]: this is listed twice"},
		{"both kinds", tenant, tenant + "  tenant_ids: [00000000-0000-0000-0000-000000000001]\n", "entra.tenant_ids: this does not go with entra.tenant_id"},
		{"authority", tenant, "  authority: https://127.0.0.1:9443/00000000-0000-0000-0000-000000000001\n  ca_file: config_test.go\n", ""},
		{"authority without CA", tenant, "  authority: https://127.0.0.1:9443/00000000-0000-0000-0000-000000000001\n", "entra.ca_file: this is missing"},
		{"authority elsewhere", tenant, "  authority: https://10.0.0.1:9443/00000000-0000-0000-0000-000000000001\n  ca_file: config_test.go\n", "entra.authority: a development authority must be on a loopback IP address"},
		{"authority by name", tenant, "  authority: https://localhost:9443/00000000-0000-0000-0000-000000000001\n  ca_file: config_test.go\n", "entra.authority: a development authority must be on a loopback IP address"},
		{"authority over http", tenant, "  authority: http://127.0.0.1:9443/00000000-0000-0000-0000-000000000001\n  ca_file: config_test.go\n", "entra.authority: this is not a development authority"},
		{"authority without tenant", tenant, "  authority: https://127.0.0.1:9443/common\n  ca_file: config_test.go\n", "entra.authority: the path must be the tenant's GUID"},
		{"authority of another tenant", tenant, tenant + "  authority: https://127.0.0.1:9443/00000000-0000-0000-0000-000000000009\n  ca_file: config_test.go\n", "entra.authority: its tenant is not the one of tenant_id"},
		{"authority and cloud", tenant, "  cloud: global\n  authority: https://127.0.0.1:9443/00000000-0000-0000-0000-000000000001\n  ca_file: config_test.go\n", "entra.authority: this does not go with entra.cloud"},
		{"CA without authority", tenant, tenant + "  ca_file: config_test.go\n", "entra.ca_file: this is for a development authority only"},
		{"no client id", client, "", "entra.client_id: this is missing"},
		{"unknown cloud", tenant, tenant + "  cloud: moon\n", `entra.cloud: "moon" is not known here`},
		{"App ID URI", tenant, tenant + "  app_id_uri: my api\n", "entra.app_id_uri: this is not a URI"},
		{"nothing required", "  required_scopes: [Mcp.Access]\n", "", "entra.required_scopes: no scope and no role is required"},
		{"empty lists required", "[Mcp.Access]", "[]", "entra.required_scopes: no scope and no role is required"},
		{"roles alone", "required_scopes: [Mcp.Access]", "required_roles: [Mcp.Invoke]", ""},
		{"full scope", "[Mcp.Access]", "[api://00000000-0000-0000-0000-000000000002/Mcp.Access]", ""},
		{"full scope of another API", "[Mcp.Access]\n", "[https://graph.microsoft.com/User.Read]\npublic_url: https://a.example/mcp\n", "entra.required_scopes[0]: this is the scope of another API"},
		{"scope, not a list", "[Mcp.Access]", "Mcp.Access", "entra.required_scopes: this must be a list and is text"},

		{"no upstreams", "upstreams:\n  - name: me\n" + builtin, "", "upstreams: this is missing"},
		{"name", "name: me", "name: My Files", "upstreams[0].name: this is not a name for an upstream"},
		{"no name", "name: me\n    builtin", "builtin", "upstreams[0].name: this is missing"},
		{"no kind", builtin, "", "upstreams[0]: nothing says what this upstream is"},
		{"two kinds", builtin, builtin + "    url: https://a.example/mcp\n", "upstreams[0]: url and builtin exclude each other"},
		{"unknown builtin", "[whoami]", "[whoamy]", `upstreams[0].builtin[0]: "whoamy" is not known here`},
		{"no builtin", "[whoami]", "[]", "upstreams[0].builtin: this list is empty"},
		{"url", builtin, "    url: http://localhost:3000/mcp?key=1\n    headers: {X-Key: abc}\n", ""},
		{"url over http", builtin, "    url: http://crm.internal/mcp\n", "upstreams[0].url: http:// is for upstreams on this machine only"},
		{"url with password", builtin, "    url: https://a:b@crm.internal/mcp\n", "upstreams[0].url: credentials in an address end up in logs"},
		{"url, relative", builtin, "    url: crm.internal/mcp\n", "upstreams[0].url: this is not an absolute https:// address"},
		{"header of the transport", builtin, "    url: https://a.example/mcp\n    headers: {Mcp-Session-Id: x}\n", "upstreams[0].headers.Mcp-Session-Id: this header belongs to the transport"},
		{"header with a line break", builtin, "    url: https://a.example/mcp\n    headers: {X-A: \"a\\nb\"}\n", "upstreams[0].headers.X-A: the value has line breaks"},
		{"headers of a command", builtin, "    command: [cat]\n    headers: {X-A: a}\n", "upstreams[0].headers: this is for upstreams with a url only"},
		{"command", builtin, "    command: [cat, -u, '']\n    env: {A: '', B: x=y}\n    process: per-session\n", ""},
		{"command in one line", builtin, "    command: cat -u\n", "upstreams[0].command: this must be a list"},
		{"empty command", builtin, "    command: []\n", "upstreams[0].command: this list is empty"},
		{"no program", builtin, "    command: ['']\n", "upstreams[0].command[0]: this is empty"},
		{"number as argument", builtin, "    command: [cat, 7]\n", "upstreams[0].command[1]: this must be text and is a number"},
		{"number in env", builtin, "    command: [cat]\n    env: {PORT: 8080}\n", "upstreams[0].env.PORT: this must be text and is a number"},
		{"env as list", builtin, "    command: [cat]\n    env: [A=b]\n", "upstreams[0].env: this must be keys with values and is a list"},
		{"process", builtin, "    command: [cat]\n    process: shared\n    idle_stop: 90s\n", ""},
		{"process by default", builtin, "    command: [cat]\n    idle_stop: 1h30m\n", ""},
		{"unknown process", builtin, "    command: [cat]\n    process: per-usr\n", "upstreams[0].process: \"per-usr\" is not known here"},
		{"process of a url", builtin, "    url: https://a.example/mcp\n    process: shared\n", "upstreams[0].process: this is for upstreams with a command only"},
		{"idle stop per session", builtin, "    command: [cat]\n    process: per-session\n    idle_stop: 1h\n", "upstreams[0].idle_stop: this does not go with process: per-session"},
		{"idle stop of a url", builtin, "    url: https://a.example/mcp\n    idle_stop: 1h\n", "upstreams[0].idle_stop: this is for upstreams with a command only"},
		{"idle stop without unit", builtin, "    command: [cat]\n    idle_stop: 90\n", "upstreams[0].idle_stop: this has no unit"},
		{"idle stop, no time", builtin, "    command: [cat]\n    idle_stop: soon\n", "upstreams[0].idle_stop: this is not a span of time"},
		{"idle stop too short", builtin, "    command: [cat]\n    idle_stop: 1ms\n", "upstreams[0].idle_stop: this must be from 1s to 168h0m0s"},
		{"idle stop as list", builtin, "    command: [cat]\n    idle_stop: [1h]\n", "upstreams[0].idle_stop: this must be a span of time and is a list"},
		{"limits of a url", builtin, "    url: https://a.example/mcp\n    limits: {memory: 1GiB}\n", "upstreams[0].limits: this is for upstreams with a command only"},
		{"memory too small", builtin, "    command: [cat]\n    limits: {memory: 1MiB}\n", "upstreams[0].limits.memory: this must be from 16MiB to 1024GiB"},
		{"unknown limit", builtin, "    command: [cat]\n    limits: {open_file: 100}\n", "upstreams[0].limits.open_file: unknown key"},
		{"no such folder", builtin, "    command: [cat]\n    dir: none\n", "upstreams[0].dir: there is no folder"},
		{"two upstreams", builtin, builtin + "  - {name: b, builtin: [market]}\n", ""},

		{"body", "", "limits: {body: 512KiB}", ""},
		{"body in bytes", "", "limits: {body: 1048576}", ""},
		{"body in MB", "", "limits: {body: 8MB}", "limits.body: this is not a size"},
		{"body too small", "", "limits: {body: 10}", "limits.body: this must be from 1KiB to 1GiB"},
		{"body too large", "", "limits: {body: 2GiB}", "limits.body: this must be from 1KiB to 1GiB"},
		{"body far too large", "", "limits: {body: 99999999999GiB}", "limits.body: this is too large a size"},
		{"no sessions", "", "limits: {sessions_per_user: 0}", "limits.sessions_per_user: this must be from 1 to 10000"},
		{"negative", "", "limits: {sessions_per_user: -5}", "limits.sessions_per_user: this must be from 1 to 10000"},
		{"rate limit", "", "limits: {requests_per_minute: 600, burst: 20, concurrent_requests: 8, tools: [{tool: a, requests_per_minute: 6}]}", ""},
		{"tool limit without tool", "", "limits: {tools: [{requests_per_minute: 6}]}", "limits.tools[0].tool: this is missing"},
		{"cache", "", "cache: [{tool: a, ttl: 30s}, {resource: 'a://*', ttl: 1m, public: true}]", ""},
		{"limit of one of several upstreams' tools", builtin, builtin + "  - {name: b, builtin: [whoami]}\nlimits: {tools: [{tool: b__whoami, requests_per_minute: 6}]}\ncache: [{tool: b__x__y, ttl: 30s}, {resource: 'a://*', ttl: 30s}]\n", ""},
		{"limit of none of several upstreams' tools", builtin, builtin + "  - {name: b, builtin: [whoami]}\nlimits: {tools: [{tool: whoami, requests_per_minute: 6}]}\n", "limits.tools[0].tool: no client sees a tool of this name"},
		{"cache of an upstream that is not there", builtin, builtin + "  - {name: b, builtin: [whoami]}\ncache: [{tool: c__whoami, ttl: 30s}]\n", "cache[0].tool: no client sees a tool of this name"},
		{"cache of an upstream's nothing", builtin, builtin + "  - {name: b, builtin: [whoami]}\ncache: [{tool: b__, ttl: 30s}]\n", "cache[0].tool: no client sees a tool of this name"},
		{"cache for nothing", "", "cache: [{ttl: 30s}]", "cache[0]: a rule is about either a tool or a resource"},
		{"cache without ttl", "", "cache: [{tool: a}]", "cache[0].ttl: this is missing"},
		{"policy", "", "policy: [{allow: 'tool.annotations.readOnlyHint'}, {name: w, allow: 'true', scopes: [Tools.Write]}]", ""},
		{"policy with a misspelt field", "", "policy: [{allow: 'tool.annotation.readOnlyHint'}]", "policy[0]: at column 5 of the expression: there is no field 'annotation'. See docs/policy.md"},
		{"policy with a fault after good ones", "", "policy: [{allow: 'true'}, {allow: 'false'}, {deny: '1'}]", "policy[2]: the expression is of type int"},
		{"policy that does nothing", "", "policy: [{name: x}]", "policy[0]: write either allow or deny. See docs/policy.md"},
		{"store", "", "store: {redis: redis://x}", "store: not supported in this version"},
		{"audit without folder", "", "audit: {file: none/audit.jsonl}", "audit.file: there is no folder"},
		{"audit into a folder", "", "audit: {file: testdata}", "audit.file: "},
		{"origin", "", "allowed_origins: ['https://a.example', 'http://localhost:3000']", ""},
		{"any origin", "", "allowed_origins: ['*']", ""},
		{"origin with path", "", "allowed_origins: ['https://a.example/']", "allowed_origins[0]: this is not a web origin"},
		{"any origin and one", "", "allowed_origins: ['*', 'https://a.example']", `allowed_origins: "*" makes the other origins pointless`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := minimal + tt.replacement + "\n"
			if tt.old != "" {
				text = strings.Replace(minimal, tt.old, tt.replacement, 1)
			}
			_, faults := parse(t, text)
			switch {
			case tt.want == "" && len(faults) > 0:
				t.Errorf("refused: %v\n%s", faults, text)
			case tt.want != "" && (len(faults) != 1 || !strings.HasPrefix(faults[0].String(), tt.want)):
				t.Errorf("got %v, want one fault: %s\n%s", faults, tt.want, text)
			}
		})
	}
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(minimal, "builtin: [whoami]", "command: [bin/server, data/x]", 1) + "audit: {file: audit.jsonl}\n"
	path := filepath.Join(dir, "mcpctl.yaml")
	write(t, path, text)
	cfg, err := server.ReadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	up := cfg.Upstreams[0]
	if up.Command[0] != filepath.Join(dir, "bin/server") || up.Command[1] != "data/x" || up.Dir != dir || cfg.Audit.File != filepath.Join(dir, "audit.jsonl") {
		t.Errorf("got %+v, %+v", up, cfg.Audit)
	}
	if _, err := os.Stat(cfg.Audit.File); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reading the configuration made the audit log: %v", err)
	}
}

func TestReadConfigSaysWhatIsMissing(t *testing.T) {
	_, err := server.ReadConfig(filepath.Join(t.TempDir(), "none.yaml"))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("got %v", err)
	}
}

// Editors on Windows put a byte order mark before UTF-8, or write UTF-16.
func TestEncodings(t *testing.T) {
	if _, faults := parse(t, "\ufeffdrain_timeout: 3s\n"+minimal); len(faults) > 0 {
		t.Errorf("with a byte order mark: %v", faults)
	}
	if _, faults := parse(t, "\ufeffx: 3s\n"+minimal); len(faults) != 1 || faults[0].Line != 1 || faults[0].Column != 1 || faults[0].Key != "x" {
		t.Errorf("a fault after a byte order mark: %+v", faults)
	}
	wide := func(order binary.AppendByteOrder, text string) (raw string) {
		var b []byte
		for _, unit := range utf16.Encode([]rune(text)) {
			b = order.AppendUint16(b, unit)
		}
		return string(b)
	}
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, mark := range []string{"", "\ufeff"} {
			_, faults := parse(t, wide(order, mark+strings.TrimSpace(minimal)))
			if len(faults) != 1 || !strings.HasPrefix(faults[0].String(), "the file is in UTF-16. Save it as UTF-8") {
				t.Errorf("UTF-16, %v, mark %q: %v", order, mark, faults)
			}
		}
	}
}

func TestTooLargeAFile(t *testing.T) {
	_, faults := parse(t, strings.Repeat("#", 300<<10))
	if len(faults) != 1 || !strings.Contains(faults[0].String(), "larger than 256KiB") {
		t.Errorf("got %v", faults)
	}
}

func TestColumns(t *testing.T) {
	_, faults := parse(t, minimal+"limits: {body: 8MiB, sesions: 3}\n")
	want := server.Fault{Line: 9, Column: 22, Key: "limits.sesions", Message: "unknown key"}
	if len(faults) != 1 {
		t.Fatalf("got %v", faults)
	}
	faults[0].Fix = ""
	if faults[0] != want {
		t.Errorf("got %+v, want %+v", faults[0], want)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(minimal))
	for _, pattern := range []string{"../examples/*.yaml", "testdata/config/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := server.ParseConfig("mcpctl.yaml", data)
		if err == nil {
			return
		}
		var faulty *server.ConfigError
		if !errors.As(err, &faulty) || len(faulty.Faults) == 0 {
			t.Fatalf("got %v, want faults", err)
		}
		lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + 2
		for _, fault := range faulty.Faults {
			if fault.Message == "" || fault.Line < 0 || fault.Line > lines {
				t.Errorf("fault %+v of %d lines", fault, lines)
			}
		}
	})
}
