package server

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

//go:embed landing
var landingFiles embed.FS

// landingPage tells a person who opens the server's address in a browser how to
// connect each client. It needs no sign-in, so it says nothing that the metadata
// doesn't.
type landingPage struct {
	body   []byte
	policy string
}

// landingText is something to copy.
type landingText struct{ Value, What string }

// landingClient is how one client is told about the server.
type landingClient struct {
	ID, Name, How, File string
	Text                landingText
	Link                template.URL // installs it, where the client has such links
}

func newLandingPage(publicURL, sse string) (*landingPage, error) {
	files := map[string]string{}
	for _, name := range []string{"page.html", "style.css", "script.js"} {
		b, err := landingFiles.ReadFile("landing/" + name)
		if err != nil {
			return nil, fmt.Errorf("reading the landing page: %w", err)
		}
		files[name] = string(b)
	}
	page, err := template.New("page").Parse(files["page.html"])
	if err != nil {
		return nil, fmt.Errorf("reading the landing page: %w", err)
	}
	u, err := url.Parse(publicURL)
	if err != nil {
		return nil, fmt.Errorf("reading the public URL: %w", err)
	}
	clients, err := landingClients(serverName(u), publicURL)
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	err = page.Execute(&body, struct {
		Host                     string
		URL, Login, Inspect, SSE landingText
		Clients                  []landingClient
		Style                    template.CSS
		Script                   template.JS
	}{
		Host: u.Host, URL: landingText{publicURL, "the address"},
		Login: landingText{"mcpctl login " + publicURL, "the sign-in command"}, Inspect: landingText{"mcpctl inspect " + publicURL, "the command that asks the server"},
		SSE: landingText{sse, "the HTTP+SSE address"}, Clients: clients,
		Style: template.CSS(files["style.css"]), Script: template.JS(files["script.js"]), //nolint:gosec // our own files
	})
	if err != nil {
		return nil, fmt.Errorf("rendering the landing page: %w", err)
	}
	return &landingPage{body: body.Bytes(), policy: "default-src 'none'; style-src '" + cspHash(files["style.css"]) +
		"'; script-src '" + cspHash(files["script.js"]) + "'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}, nil
}

// cspHash is a source expression of Content Security Policy Level 3 §2.3.1.
func cspHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// serverName is what clients list the server as: its host, in characters that
// all of them take.
func serverName(u *url.URL) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, u.Host)
	return strings.Trim(name, "-")
}

// landingClients follows what each client's documentation says about local
// commands: all of them can start one, and mcpctl bridge signs in for them.
func landingClients(name, publicURL string) ([]landingClient, error) {
	command := landingCommand{Command: "mcpctl", Args: []string{"bridge", publicURL}}
	servers, err := landingConfig("mcpServers", name, command)
	if err != nil {
		return nil, err
	}
	typed := command
	typed.Type = "stdio"
	code, err := landingConfig("servers", name, typed)
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(command)
	if err != nil {
		return nil, fmt.Errorf("encoding a client's configuration: %w", err)
	}
	named := command
	named.Name = name
	install, err := json.Marshal(named)
	if err != nil {
		return nil, fmt.Errorf("encoding a client's configuration: %w", err)
	}
	cursor := "cursor://anysphere.cursor-deeplink/mcp/install?" + url.Values{"name": {name}, "config": {base64.StdEncoding.EncodeToString(config)}}.Encode()
	vscode := "vscode:mcp/install?" + strings.ReplaceAll(url.QueryEscape(string(install)), "+", "%20")
	text := func(value, of string) landingText { return landingText{value, "the configuration for " + of} }
	return []landingClient{
		{ID: "claude-desktop", Name: "Claude Desktop", How: "Open Settings, Developer, Edit Config, and restart the app afterwards. Add this to", File: "claude_desktop_config.json", Text: text(servers, "Claude Desktop")},
		{ID: "claude-code", Name: "Claude Code", How: "Run in a terminal:", Text: landingText{"claude mcp add " + name + " -- mcpctl bridge " + publicURL, "the command for Claude Code"}},
		{ID: "cursor", Name: "Cursor", Link: template.URL(cursor), How: "Or add this to", File: "~/.cursor/mcp.json", Text: text(servers, "Cursor")}, //nolint:gosec // escaped above
		{ID: "vscode", Name: "VS Code", Link: template.URL(vscode), How: "Or add this to", File: ".vscode/mcp.json", Text: text(code, "VS Code")},    //nolint:gosec // escaped above
		{ID: "windsurf", Name: "Windsurf", How: "Add this to", File: "~/.codeium/windsurf/mcp_config.json", Text: text(servers, "Windsurf")},
		{ID: "other", Name: "Any other client", How: "As a local (stdio) MCP server, this command:", Text: landingText{"mcpctl bridge " + publicURL, "the command for other clients"}},
	}, nil
}

// landingCommand is a server in a client's configuration.
type landingCommand struct {
	Name    string   `json:"name,omitempty"`
	Type    string   `json:"type,omitempty"`
	Command string   `json:"command"`
	Args    []string `json:"args"`
}

// landingConfig is what a person adds to a client's file.
func landingConfig(key, name string, c landingCommand) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // the template escapes
	enc.SetIndent("", "  ")
	if err := enc.Encode(map[string]any{key: map[string]any{name: c}}); err != nil {
		return "", fmt.Errorf("encoding a client's configuration: %w", err)
	}
	return strings.TrimSpace(b.String()), nil
}

// ServeHTTP implements http.Handler.
func (p *landingPage) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	_, _ = w.Write(p.body) // the browser may be gone
}
