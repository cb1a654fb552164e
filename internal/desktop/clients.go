package desktop

import (
	"errors"
	"strings"
)

// clients is the table of the files and their shapes, each from the
// documentation that it names.
var clients = []Client{
	{
		ID: "claude-code", Name: "Claude Code", Docs: "https://code.claude.com/docs/en/mcp",
		Apply: "Start a new session of Claude Code.",
		user: func(s System) (string, error) {
			return s.join(s.env("CLAUDE_CONFIG_DIR", s.Home), ".claude.json"), nil
		},
		workspace: ".mcp.json",
		traces:    func(s System) []string { return []string{s.join(s.Home, ".claude")} },
		syntax:    strictJSON, place: []string{"mcpServers"}, entry: stdioEntry,
	},
	{
		ID: "claude-desktop", Name: "Claude Desktop", Docs: "https://modelcontextprotocol.io/docs/develop/connect-local-servers",
		Apply: "Quit Claude Desktop and start it again; closing its window is not enough.",
		user: func(s System) (string, error) {
			dir, err := claudeDesktopDir(s)
			return s.join(dir, "claude_desktop_config.json"), err
		},
		traces: func(s System) []string {
			dir, _ := claudeDesktopDir(s)
			return []string{dir}
		},
		syntax: strictJSON, place: []string{"mcpServers"}, entry: plainEntry,
	},
	{
		ID: "codex", Name: "Codex", Docs: "https://developers.openai.com/codex/mcp",
		Apply:     "Start a new session of Codex.",
		user:      func(s System) (string, error) { return s.join(codexHome(s), "config.toml"), nil },
		workspace: ".codex/config.toml",
		traces:    func(s System) []string { return []string{codexHome(s)} },
		syntax:    tomlSyntax{}, place: []string{"mcp_servers"}, entry: plainEntry,
	},
	{
		ID: "continue", Name: "Continue", Docs: "https://docs.continue.dev/customize/deep-dives/mcp",
		Apply: "Reload the window of the editor.",
		user:  continueFile,
		// Any file there counts; JSON ones are read as other clients' are, but
		// the workspace's list is kept in the format of the user's.
		workspace: ".continue/mcpServers/mcpctl.yaml",
		traces:    func(s System) []string { return []string{s.join(s.Home, ".continue")} },
		syntax:    yamlSyntax{}, place: []string{"mcpServers"}, list: true, entry: continueEntry,
		// https://docs.continue.dev/reference: all three are required.
		fresh: fields{{"name", "mcpctl"}, {"version", "0.0.1"}, {"schema", "v1"}},
	},
	{
		ID: "cursor", Name: "Cursor", Docs: "https://cursor.com/docs/mcp",
		Apply:     "Turn the server on in Cursor's settings if it does not appear by itself.",
		user:      func(s System) (string, error) { return s.join(s.Home, ".cursor/mcp.json"), nil },
		workspace: ".cursor/mcp.json",
		traces:    func(s System) []string { return []string{s.join(s.Home, ".cursor")} },
		syntax:    commentedJSON, place: []string{"mcpServers"}, entry: plainEntry,
	},
	{
		ID: "gemini-cli", Name: "Gemini CLI", Docs: "https://geminicli.com/docs/tools/mcp-server",
		Apply: "Start a new session of Gemini CLI. It starts servers in trusted folders only.",
		user: func(s System) (string, error) {
			return s.join(s.env("GEMINI_CLI_HOME", s.Home), ".gemini/settings.json"), nil
		},
		workspace: ".gemini/settings.json",
		traces:    func(s System) []string { return []string{s.join(s.env("GEMINI_CLI_HOME", s.Home), ".gemini")} },
		syntax:    commentedJSON, place: []string{"mcpServers"}, entry: plainEntry,
	},
	{
		ID: "opencode", Name: "opencode", Docs: "https://opencode.ai/docs/mcp-servers",
		Apply:     "Start a new session of opencode.",
		user:      func(s System) (string, error) { return s.join(opencodeDir(s), "opencode.json"), nil },
		workspace: "opencode.json",
		traces:    func(s System) []string { return []string{opencodeDir(s)} },
		syntax:    commentedJSON, place: []string{"mcp"}, entry: opencodeEntry,
		fresh: fields{{"$schema", "https://opencode.ai/config.json"}},
	},
	{
		ID: "vscode", Name: "VS Code", Docs: "https://code.visualstudio.com/docs/agents/reference/mcp-configuration",
		Apply: "VS Code asks to trust the server when it first starts it.",
		// The default profile: https://code.visualstudio.com/docs/configure/settings
		user:      func(s System) (string, error) { return s.join(s.application(), "Code/User/mcp.json"), nil },
		workspace: ".vscode/mcp.json",
		traces:    func(s System) []string { return []string{s.join(s.application(), "Code/User")} },
		syntax:    commentedJSON, place: []string{"servers"}, entry: stdioEntry,
	},
	{
		ID: "windsurf", Name: "Windsurf", Docs: "https://docs.windsurf.com/windsurf/cascade/mcp",
		Apply:  "Refresh the list of MCP servers in Windsurf's settings.",
		user:   func(s System) (string, error) { return s.join(s.Home, ".codeium/windsurf/mcp_config.json"), nil },
		traces: func(s System) []string { return []string{s.join(s.Home, ".codeium/windsurf")} },
		syntax: commentedJSON, place: []string{"mcpServers"}, entry: plainEntry,
	},
	{
		ID: "zed", Name: "Zed", Docs: "https://zed.dev/docs/ai/mcp",
		Apply: "Zed starts the server by itself.",
		// https://zed.dev/docs/configuring-zed
		user:      func(s System) (string, error) { return s.join(zedDir(s), "settings.json"), nil },
		workspace: ".zed/settings.json",
		traces:    func(s System) []string { return []string{zedDir(s)} },
		syntax:    commentedJSON, place: []string{"context_servers"}, entry: plainEntry,
	},
}

// claudeDesktopDir is the folder of Claude Desktop. On Windows it is an MSIX
// package as a rule, which has a folder of its own in place of %APPDATA%, even
// though its settings' button opens the other:
// https://github.com/anthropics/claude-code/issues/26073
func claudeDesktopDir(s System) (string, error) {
	usual := s.join(s.application(), "Claude")
	if s.OS != "windows" {
		return usual, nil
	}
	packages := s.join(s.env("LOCALAPPDATA", s.join(s.Home, "AppData/Local")), "Packages")
	var found []string
	for _, name := range s.Names(packages) {
		dir := s.join(packages, name, "LocalCache/Roaming/Claude")
		if strings.HasPrefix(name, "Claude_") && s.Exists(dir) {
			found = append(found, dir)
		}
	}
	switch len(found) {
	case 0:
		return usual, nil
	case 1:
		return found[0], nil
	}
	return "", errors.New("several packages of Claude Desktop are installed: " + strings.Join(found, ", ") +
		". Uninstall the ones that you don't use")
}

func codexHome(s System) string { return s.env("CODEX_HOME", s.join(s.Home, ".codex")) }

// continueFile refuses to create a config.yaml that would hide a config.json:
// https://docs.continue.dev/reference/yaml-migration
func continueFile(s System) (string, error) {
	dir := s.env("CONTINUE_GLOBAL_DIR", s.join(s.Home, ".continue"))
	file, old := s.join(dir, "config.yaml"), s.join(dir, "config.json")
	if !s.Exists(file) && s.Exists(old) {
		return "", errors.New("Continue is still configured by " + old + ", which a new config.yaml would hide. " +
			"Migrate it first, as https://docs.continue.dev/reference/yaml-migration says")
	}
	return file, nil
}

// opencodeDir is the same on all systems: https://opencode.ai/docs/config
func opencodeDir(s System) string { return s.join(s.xdg(), "opencode") }

// opencodeFile prefers the name that is there already.
func opencodeFile(s System, file string) string {
	if commented := file + "c"; s.Exists(commented) {
		return commented
	}
	return file
}

// zedDir is where Zed keeps its settings; macOS has it where Linux has.
func zedDir(s System) string {
	if s.OS == "windows" {
		return s.join(s.roaming(), "Zed")
	}
	if s.OS == "darwin" {
		return s.join(s.Home, ".config/zed")
	}
	return s.join(s.xdg(), "zed")
}
