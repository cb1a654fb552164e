package cmd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// remoteServer is a server as others run it, which may be no MCP server at all.
type remoteServer struct {
	*httptest.Server
	mu   sync.Mutex
	kind string
	says map[string]string
}

func (r *remoteServer) close() { r.Close() }

// cmdRemote starts a server, or changes the script's, and puts its address into
// MCP_URL: «remote KIND [NAME=VALUE...]». Kinds: page is a web site, missing
// answers 404, open is an MCP server without sign-in, moved redirects, and
// protected asks for a sign-in and says the values (authority, client, scopes).
func cmdRemote(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: remote KIND [NAME=VALUE...]")
	}
	state := stateOf(ts)
	if state.remote == nil {
		state.remote = &remoteServer{}
		state.remote.Server = httptest.NewServer(state.remote)
	}
	says := map[string]string{}
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		says[name] = value
	}
	state.remote.mu.Lock()
	defer state.remote.mu.Unlock()
	state.remote.kind, state.remote.says = args[0], says
	ts.Setenv("MCP_URL", state.remote.URL+"/mcp")
}

func (r *remoteServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch r.kind {
	case "page":
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, "<h1>It works!</h1>")
	case "open":
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"open","version":"1"}}}`)
	case "moved":
		http.Redirect(w, req, "https://elsewhere.example/mcp?secret=1", http.StatusPermanentRedirect)
	case "protected":
		r.protected(w, req)
	default:
		http.NotFound(w, req)
	}
}

// protected answers as a resource server does (RFC 9728).
func (r *remoteServer) protected(w http.ResponseWriter, req *http.Request) {
	const metadata = "/.well-known/oauth-protected-resource/mcp"
	if req.URL.Path != metadata {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer resource_metadata="%s%s"`, r.URL, metadata))
		http.Error(w, "sign in", http.StatusUnauthorized)
		return
	}
	says := map[string]any{"resource": r.URL + "/mcp", "authorization_servers": []string{r.says["authority"]}}
	if scopes := r.says["scopes"]; scopes != "" {
		says["scopes_supported"] = strings.Fields(strings.ReplaceAll(scopes, "+", " "))
	}
	if client := r.says["client"]; client != "" {
		says["mcpctl_client_id"] = client
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(says)
}
