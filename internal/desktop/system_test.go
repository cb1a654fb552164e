package desktop

import (
	"slices"
	"strings"
	"testing"
)

// pretend is a system without files, but for those named.
func pretend(os, home string, env map[string]string, files ...string) System {
	return System{
		OS: os, Home: home, Dir: map[string]string{"windows": `C:\work`}[os],
		Getenv: func(name string) string { return env[name] },
		Exists: func(path string) bool { return slices.Contains(files, path) },
		Names: func(dir string) (names []string) {
			for _, f := range files {
				if rest, ok := strings.CutPrefix(f, dir+`\`); ok {
					name, _, _ := strings.Cut(rest, `\`)
					if !slices.Contains(names, name) {
						names = append(names, name)
					}
				}
			}
			return names
		},
	}
}

// Where each client keeps its configuration, as its documentation says.
func TestPaths(t *testing.T) {
	linux := pretend("linux", "/home/ada", nil)
	linux.Dir = "/src"
	xdg := pretend("linux", "/home/ada", map[string]string{"XDG_CONFIG_HOME": "/cfg", "CLAUDE_CONFIG_DIR": "/cc", "CODEX_HOME": "/cx", "GEMINI_CLI_HOME": "/g"})
	mac := pretend("darwin", "/Users/ada", map[string]string{"XDG_CONFIG_HOME": "/cfg"})
	windows := pretend("windows", `C:\Users\ada`, map[string]string{"APPDATA": `C:\Users\ada\AppData\Roaming`, "LOCALAPPDATA": `C:\Users\ada\AppData\Local`})
	for _, test := range []struct {
		id                           string
		linux, xdg, mac, windows, ws string
	}{
		{
			"claude-code", "/home/ada/.claude.json", "/cc/.claude.json", "/Users/ada/.claude.json",
			`C:\Users\ada\.claude.json`, "/src/.mcp.json",
		},
		{
			"claude-desktop", "/home/ada/.config/Claude/claude_desktop_config.json", "/cfg/Claude/claude_desktop_config.json",
			"/Users/ada/Library/Application Support/Claude/claude_desktop_config.json", `C:\Users\ada\AppData\Roaming\Claude\claude_desktop_config.json`, "",
		},
		{
			"codex", "/home/ada/.codex/config.toml", "/cx/config.toml", "/Users/ada/.codex/config.toml",
			`C:\Users\ada\.codex\config.toml`, "/src/.codex/config.toml",
		},
		{
			"continue", "/home/ada/.continue/config.yaml", "/home/ada/.continue/config.yaml", "/Users/ada/.continue/config.yaml",
			`C:\Users\ada\.continue\config.yaml`, "/src/.continue/mcpServers/mcpctl.yaml",
		},
		{
			"cursor", "/home/ada/.cursor/mcp.json", "/home/ada/.cursor/mcp.json", "/Users/ada/.cursor/mcp.json",
			`C:\Users\ada\.cursor\mcp.json`, "/src/.cursor/mcp.json",
		},
		{
			"gemini-cli", "/home/ada/.gemini/settings.json", "/g/.gemini/settings.json", "/Users/ada/.gemini/settings.json",
			`C:\Users\ada\.gemini\settings.json`, "/src/.gemini/settings.json",
		},
		{
			"opencode", "/home/ada/.config/opencode/opencode.json", "/cfg/opencode/opencode.json", "/cfg/opencode/opencode.json",
			`C:\Users\ada\.config\opencode\opencode.json`, "/src/opencode.json",
		},
		{
			"vscode", "/home/ada/.config/Code/User/mcp.json", "/cfg/Code/User/mcp.json", "/Users/ada/Library/Application Support/Code/User/mcp.json",
			`C:\Users\ada\AppData\Roaming\Code\User\mcp.json`, "/src/.vscode/mcp.json",
		},
		{
			"windsurf", "/home/ada/.codeium/windsurf/mcp_config.json", "/home/ada/.codeium/windsurf/mcp_config.json", "/Users/ada/.codeium/windsurf/mcp_config.json",
			`C:\Users\ada\.codeium\windsurf\mcp_config.json`, "",
		},
		{
			"zed", "/home/ada/.config/zed/settings.json", "/cfg/zed/settings.json", "/Users/ada/.config/zed/settings.json",
			`C:\Users\ada\AppData\Roaming\Zed\settings.json`, "/src/.zed/settings.json",
		},
	} {
		c, err := FindClient(test.id)
		if err != nil {
			t.Fatal(err)
		}
		for _, on := range []struct {
			sys   System
			scope Scope
			want  string
		}{{linux, User, test.linux}, {xdg, User, test.xdg}, {mac, User, test.mac}, {windows, User, test.windows}, {linux, Workspace, test.ws}} {
			got, err := c.Config(on.sys, on.scope)
			if got.Path != on.want || (err != nil) != (on.want == "") {
				t.Errorf("%s on %s (%s): got %s, %v, want %s", c.ID, on.sys.OS, on.scope, got.Path, err, on.want)
			}
		}
	}
}

func TestEveryClientIsComplete(t *testing.T) {
	sys := pretend("linux", "/home/ada", nil)
	ids := []string{}
	for _, c := range Clients() {
		ids = append(ids, c.ID)
		if c.Name == "" || c.Apply == "" || !strings.HasPrefix(c.Docs, "https://") || len(c.place) == 0 {
			t.Errorf("%s lacks something", c.ID)
		}
		if c.Installed(sys) {
			t.Errorf("%s is found where nothing is", c.ID)
		}
		for _, trace := range c.traces(sys) {
			if !c.Installed(pretend("linux", "/home/ada", nil, trace)) {
				t.Errorf("%s is not found by %s", c.ID, trace)
			}
		}
		config := Config{Client: c, Path: "FILE"}
		doc, err := config.Add(nil, contoso, false)
		if err != nil {
			t.Fatal(err)
		}
		if list, err := config.Servers(doc); err != nil || len(list) != 1 || !list[0].equal(contoso) {
			t.Errorf("%s: got %+v, %v", c.ID, list, err)
		}
	}
	if !slices.IsSorted(ids) || len(ids) != 10 {
		t.Errorf("got %v", ids)
	}
}

// Claude Desktop from the store reads its own folder.
func TestClaudeDesktopPackage(t *testing.T) {
	c, _ := FindClient("claude-desktop")
	const packages = `C:\Users\ada\AppData\Local\Packages\`
	dir := packages + `Claude_pzs8sxrjxfjjc\LocalCache\Roaming\Claude`
	got, err := c.Config(pretend("windows", `C:\Users\ada`, nil, dir, packages+`Clock_x\y`), User)
	if err != nil || got.Path != dir+`\claude_desktop_config.json` {
		t.Errorf("got %s, %v", got.Path, err)
	}
	if _, err = c.Config(pretend("windows", `C:\Users\ada`, nil, dir, packages+`Claude_abc\LocalCache\Roaming\Claude`), User); err == nil {
		t.Error("two packages are no error")
	}
}

func TestExistingNames(t *testing.T) {
	opencode, _ := FindClient("opencode")
	got, err := opencode.Config(pretend("linux", "/home/ada", nil, "/home/ada/.config/opencode/opencode.jsonc"), User)
	if err != nil || got.Path != "/home/ada/.config/opencode/opencode.jsonc" {
		t.Errorf("got %s, %v", got.Path, err)
	}
	cont, _ := FindClient("continue")
	old := "/home/ada/.continue/config.json"
	if _, err := cont.Config(pretend("linux", "/home/ada", nil, old), User); err == nil || !strings.Contains(err.Error(), old) {
		t.Errorf("got %v", err)
	}
	if _, err := cont.Config(pretend("linux", "/home/ada", nil, old, "/home/ada/.continue/config.yaml"), User); err != nil {
		t.Error(err)
	}
}

func TestBridge(t *testing.T) {
	for text, want := range map[string]string{
		"/usr/bin/mcpctl bridge https://a/mcp":                   "https://a/mcp",
		`C:\x\mcpctl.exe bridge --log-level debug https://a/mcp`: "https://a/mcp",
		"npx -y mcpctl bridge https://a/mcp":                     "https://a/mcp",
		"npx -y mcpctl@1.2.3 bridge http://127.0.0.1/mcp":        "http://127.0.0.1/mcp",
		"cmd /c npx -y mcpctl bridge https://a/mcp":              "https://a/mcp",
		"mcpctl bridge":                              "",
		"mcpctl serve https://a/mcp":                 "",
		"npx -y mcp-remote https://a/mcp":            "",
		"sh -c mcpctl bridge https://a/mcp":          "",
		"/usr/bin/mcpctl-other bridge https://a/mcp": "",
		"/opt/mcpctl/run bridge https://a/mcp":       "",
	} {
		words := strings.Fields(text)
		if got, ok := (Server{Command: words[0], Args: words[1:]}).Bridge(); got != want || ok != (want != "") {
			t.Errorf("%s: got %q", text, got)
		}
	}
}
