package server

import (
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Config is what an operator decides; the tags are the keys of mcpctl.yaml.
// ReadConfig reads and checks it.
type Config struct {
	// Listen is the address to listen on; 127.0.0.1:8080 when empty.
	Listen string `yaml:"listen"`
	// PublicURL is the address that people type, byte for byte. When empty it
	// is made from the address listened on, which must then be loopback.
	PublicURL string     `yaml:"public_url"`
	TLS       TLS        `yaml:"tls"`
	Entra     Entra      `yaml:"entra"`
	Upstreams []Upstream `yaml:"upstreams"`
	// Policy says who may use what; without a rule, everybody everything.
	Policy []PolicyRule `yaml:"policy"`
	// Cache says which results are kept; none without a rule.
	Cache     []CacheRule `yaml:"cache"`
	Limits    Limits      `yaml:"limits"`
	Audit     Audit       `yaml:"audit"`
	AccessLog AccessLog   `yaml:"access_log"`
	Telemetry Telemetry   `yaml:"telemetry"`
	// DrainTimeout bounds the wait for requests in flight when the server stops;
	// 10 s when zero. Before that it goes on serving for DrainDelay, not ready,
	// so that load balancers send no more.
	DrainTimeout time.Duration `yaml:"drain_timeout"`
	DrainDelay   time.Duration `yaml:"drain_delay"`
	// AllowedOrigins are the web origins whose pages may call besides our own;
	// none by default.
	AllowedOrigins []string `yaml:"allowed_origins"`
	// Diagnosis says whether callers may have the server try what it can do in
	// their names: callers, when empty, or none.
	Diagnosis string `yaml:"diagnosis"`
	// TrustedProxies are the addresses, or ranges of them, that reverse proxies
	// connect from; what they say about a request's origin is believed.
	TrustedProxies []string `yaml:"trusted_proxies"`
}

// TLS is the server's certificate; without one it speaks plain HTTP.
type TLS struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// Entra says whose tokens are accepted.
type Entra struct {
	Cloud     string   `yaml:"cloud"` // global, usgov or china
	TenantID  string   `yaml:"tenant_id"`
	TenantIDs []string `yaml:"tenant_ids"`
	// Authority is a development authority on loopback, with its CAFile.
	Authority      string   `yaml:"authority"`
	CAFile         string   `yaml:"ca_file"`
	ClientID       string   `yaml:"client_id"`  // of the API: the audience
	AppIDURI       string   `yaml:"app_id_uri"` // public_url when empty
	RequiredScopes []string `yaml:"required_scopes"`
	RequiredRoles  []string `yaml:"required_roles"`
	AllowedClients []string `yaml:"allowed_clients"`
	PublicClientID string   `yaml:"public_client_id"` // told to mcpctl login
	// Credential is the server's own, for upstreams that want a token.
	Credential Credential `yaml:"credential"`
	GraphURL   string     `yaml:"graph_url"` // the cloud's usual one when empty
	// ClaimsMapping: the API's tokens are signed with a key of its own.
	ClaimsMapping bool `yaml:"claims_mapping"`
}

// Upstream is the MCP server behind: exactly one of Command, URL and Builtin.
type Upstream struct {
	Name    string            `yaml:"name"`
	Command []string          `yaml:"command"`
	Dir     string            `yaml:"dir"` // where it runs; the configuration's folder
	Env     map[string]string `yaml:"env"`
	// Process is per-user, per-session or shared; per-user when empty.
	Process string `yaml:"process"`
	// IdleStop ends a process that nobody has used for so long; 10 minutes when zero.
	IdleStop time.Duration `yaml:"idle_stop"`
	Limits   ProcessLimits `yaml:"limits"`

	URL     string            `yaml:"url"`
	Headers map[string]string `yaml:"headers"`
	// HeaderFiles are files with the values of further header fields.
	HeaderFiles map[string]string `yaml:"header_files"`
	// At most one of these gives requests a token.
	OnBehalfOf        OnBehalfOf        `yaml:"on_behalf_of"`
	ClientCredentials ClientCredentials `yaml:"client_credentials"`
	ManagedIdentity   ManagedIdentity   `yaml:"managed_identity"`

	Builtin []string `yaml:"builtin"`

	// What all users together may ask of it; without bounds when zero.
	RequestsPerMinute  int `yaml:"requests_per_minute"`
	ConcurrentRequests int `yaml:"concurrent_requests"`
}

// ProcessLimits bound each process of a command, on Linux; zero is no limit.
// See gateway.ResourceLimits for what they count.
type ProcessLimits struct {
	Memory    Size          `yaml:"memory"`
	OpenFiles int           `yaml:"open_files"`
	Processes int           `yaml:"processes"`
	CPU       time.Duration `yaml:"cpu"`
}

// Limits bound what clients may use; zero is the default.
type Limits struct {
	Body            Size `yaml:"body"`              // of one message of a client; 8 MiB
	SessionsPerUser int  `yaml:"sessions_per_user"` // over each transport; 100
	// Of all users together, for each transport; zero is the default of
	// wire.FrontOptions.
	Sessions    int           `yaml:"sessions"`
	SessionIdle time.Duration `yaml:"session_idle"`
	// Of each upstream that is a command: of all users together, and of one; zero
	// is the default of gateway.ProcessBounds.
	Processes        int `yaml:"processes"`
	ProcessesPerUser int `yaml:"processes_per_user"`

	PendingRequests int  `yaml:"pending_requests"` // without an answer, of one session
	Queue           int  `yaml:"queue"`            // messages waiting on one stream
	EventBytes      Size `yaml:"event_bytes"`      // kept for a client that is away
	// Token is the largest token; the header has as much room again and 32 KiB.
	Token Size `yaml:"token"`
	// What one user may ask for; without bounds when zero.
	RequestsPerMinute  int         `yaml:"requests_per_minute"`
	Burst              int         `yaml:"burst"` // at once; a sixth of RequestsPerMinute when zero
	ConcurrentRequests int         `yaml:"concurrent_requests"`
	Tools              []ToolLimit `yaml:"tools"`
}

// Audit says where evidence goes; nowhere when File is empty.
type Audit struct {
	File string `yaml:"file"`
	// OnFailure says what happens when a record can't be written: stop withholds
	// answers and takes no more calls until records can be written again;
	// continue only complains. stop when empty.
	OnFailure string `yaml:"on_failure"`
	// Arguments is hash, full or none; hash when empty.
	Arguments string `yaml:"arguments"`
}

// AccessLog says where a line for each HTTP request goes: to the log unless
// File names a file of its own. There is none unless Enabled.
type AccessLog struct {
	Enabled bool   `yaml:"enabled"`
	File    string `yaml:"file"`
}

// Telemetry is what operators' systems get to know. None of it names a person
// or a tenant.
type Telemetry struct {
	// Listen is the address of /metrics, /healthz and /readyz; they are not
	// served when it is empty, but for /healthz on Config.Listen.
	Listen string `yaml:"listen"`
	// OTLPEndpoint gets traces by OTLP over HTTP. OTEL_EXPORTER_OTLP_ENDPOINT
	// and OTEL_EXPORTER_OTLP_TRACES_ENDPOINT do when it is empty.
	OTLPEndpoint string `yaml:"otlp_endpoint"`
	// HashedUser puts a hash of the caller's tenant and object id into traces.
	HashedUser bool `yaml:"hashed_user"`
}

const (
	defaultListen = "127.0.0.1:8080"
	defaultBody   = 8 << 20
	defaultDrain  = 10 * time.Second
)

// endpointPath is where Streamable HTTP is served: the path of the public URL.
func (c Config) endpointPath() string {
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Path == "" {
		return "/"
	}
	return u.Path
}

func (c Config) appIDURI() string {
	if c.Entra.AppIDURI != "" {
		return c.Entra.AppIDURI
	}
	return c.PublicURL
}

// audiences are the forms in which tokens may name this API: v2 tokens by
// client id, v1 tokens by any App ID URI.
func (c Config) audiences() []string {
	all := []string{c.Entra.ClientID, "api://" + c.Entra.ClientID}
	if uri := c.appIDURI(); uri != "" {
		all = append(all, uri)
	}
	return all
}

func (c Config) tenants() []string {
	if c.Entra.TenantID == "" {
		return c.Entra.TenantIDs
	}
	return append([]string{c.Entra.TenantID}, c.Entra.TenantIDs...)
}

func (c Config) upstreamNames() []string {
	names := make([]string, len(c.Upstreams))
	for i, up := range c.Upstreams {
		names[i] = up.Name
	}
	return names
}

// homes are the tenants of callers: those named, or a development authority's.
func (c Config) homes() []string {
	if named := c.tenants(); len(named) > 0 {
		return named
	}
	return []string{authorityTenant(c.Entra.Authority)}
}

// publicURLFor is the public URL of a server that listens on addr.
func publicURLFor(addr net.Addr, tls bool) string {
	scheme := "http"
	if tls {
		scheme = "https"
	}
	return scheme + "://" + addr.String() + "/mcp"
}

// loopbackAddr reports whether addr, an address to listen on, is this machine only.
func loopbackAddr(addr string) bool {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
