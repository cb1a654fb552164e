package bridge

import (
	"fmt"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Revisions of MCP that begin with initialize, newest first, and the one after.
var legacyRevisions = []string{"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"}

const modernRevision = "2026-07-28"

// isLocal reports a method that can be answered without the remote.
func isLocal(method string) bool {
	switch method {
	case "initialize", "server/discover", "ping", "tools/list", "resources/list", "resources/templates/list",
		"prompts/list", "completion/complete", "logging/setLevel", "resources/subscribe", "resources/unsubscribe":
		return true
	}
	return false
}

// local answers a request of a client that nobody has signed in for. ok is
// false where only the remote can answer.
func (s *signIn) local(f wire.Frame) (answer wire.Frame, ok bool) {
	s.mu.Lock()
	reason := s.reason
	s.mu.Unlock()
	var result map[string]any
	switch f.Method {
	case "initialize":
		result = s.initializeResult(f)
	case "server/discover":
		if s.legacy() {
			// A client of both eras goes on with initialize, and nothing will
			// have to be translated.
			return wire.NewError(f.ID, wire.CodeMethodNotFound, "Method not found: this server speaks MCP up to 2025-11-25. Send initialize", nil), true
		}
		result = map[string]any{
			"supportedVersions": []string{modernRevision}, "capabilities": capabilities(true), "instructions": s.instructions(),
			"_meta": map[string]any{"io.modelcontextprotocol/serverInfo": serverInfo()},
		}
	case "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe":
		s.setLater(f)
		result = map[string]any{}
	case "completion/complete":
		result = map[string]any{"completion": map[string]any{"values": []string{}}}
	default:
		// An empty list would be a lie where nobody has to sign in: say why
		// there is none.
		if !isLocal(f.Method) || reason != nil && !needsPerson(reason) {
			return wire.Frame{}, false
		}
		result = s.list(f.Method)
	}
	if s.modern(f) {
		result["resultType"] = "complete"
		if f.Method != "completion/complete" {
			result["ttlMs"], result["cacheScope"] = 0, "private"
		}
	}
	return wire.NewResult(f.ID, result), true
}

func (s *signIn) list(method string) map[string]any {
	switch method {
	case "tools/list":
		s.offered.Store(true)
		return map[string]any{"tools": []any{s.tool()}}
	case "resources/list":
		return map[string]any{"resources": []any{}}
	case "resources/templates/list":
		return map[string]any{"resourceTemplates": []any{}}
	default:
		return map[string]any{"prompts": []any{}}
	}
}

func (s *signIn) initializeResult(f wire.Frame) map[string]any {
	s.mu.Lock()
	s.client.local = true
	s.mu.Unlock()
	version := wire.LookupString(f.Raw, "params", "protocolVersion")
	if !slices.Contains(legacyRevisions, version) {
		version = legacyRevisions[0]
	}
	return map[string]any{
		"protocolVersion": version, "capabilities": capabilities(false), "serverInfo": serverInfo(), "instructions": s.instructions(),
	}
}

// capabilities promises all that a remote may have: what it lacks it refuses
// itself.
func capabilities(modern bool) map[string]any {
	changes := map[string]any{"listChanged": true}
	all := map[string]any{
		"tools": changes, "prompts": changes, "completions": map[string]any{},
		"resources": map[string]any{"listChanged": true, "subscribe": true},
	}
	if !modern { // 2026-07-28 has the level in each request
		all["logging"] = map[string]any{}
	}
	return all
}

func serverInfo() map[string]any {
	version := "dev"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	return map[string]any{"name": "mcpctl", "title": "mcpctl bridge", "version": version}
}

func (s *signIn) instructions() string {
	s.mu.Lock()
	reason := s.reason
	s.mu.Unlock()
	if reason != nil && !needsPerson(reason) {
		return s.unusable(reason)
	}
	if !s.able() {
		return fmt.Sprintf("The MCP server at %s is not available: nobody has signed in to it. Ask the user to run this command in a terminal: mcpctl login %s. The server's own tools appear by themselves afterwards.", s.url, s.url)
	}
	return fmt.Sprintf("Nobody is signed in to the MCP server at %s yet, so its tools are not available. Call the tool %s and pass what it returns on to the user, who signs in with a browser; the server's own tools appear by themselves afterwards.", s.url, toolName)
}

// unusable says why the server can't be used where a sign-in would not help,
// such as while a keyring is locked.
func (s *signIn) unusable(reason error) string {
	return fmt.Sprintf("The MCP server at %s can't be used at the moment: %s. Tell the user. As soon as that is put right this server's tools appear by themselves.",
		s.url, strings.TrimSuffix(reason.Error(), "."))
}

// able reports whether somebody can sign in from here.
func (s *signIn) able() bool { return s.signer != nil && s.signer.Unable() == nil }

// host names the server for people.
func (s *signIn) host() string {
	if u, err := url.Parse(s.url); err == nil && u.Host != "" {
		return u.Host
	}
	return s.url
}

// setLater remembers what the client sets, for when the remote is connected.
func (s *signIn) setLater(f wire.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	uri := wire.LookupString(f.Raw, "params", "uri")
	switch f.Method {
	case "logging/setLevel":
		c := f.Clone()
		s.client.level = &c
	case "resources/subscribe":
		if s.client.subscribed == nil {
			s.client.subscribed = map[string]wire.Frame{}
		}
		if len(s.client.subscribed) < maxHeld {
			s.client.subscribed[uri] = f.Clone()
		}
	case "resources/unsubscribe":
		delete(s.client.subscribed, uri)
	}
}
