//go:build unix

package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/nodetest"
)

// An installed client is somebody else's program that mcpctl install configures.
type installedClient struct {
	id      string
	program []string // below node_modules, with its arguments
	env     []string // beyond HOME and PATH
	ask     string   // what it is asked on standard input, if anything
	// connected is what it says of a server that answers.
	connected *regexp.Regexp
}

// installedClients are those that can be asked on a command line whether their servers
// answer, without a model's account or a network.
var installedClients = []installedClient{
	{
		id: "claude-code", program: []string{platformPackage("@anthropic-ai/claude-code") + "/claude", "mcp", "list"},
		connected: regexp.MustCompile(`example: .*bridge .* ✔ Connected`),
	},
	{
		id: "gemini-cli", program: []string{"@google/gemini-cli/bundle/gemini.js", "mcp", "list"},
		env:       []string{"GEMINI_CLI_TRUST_WORKSPACE=true"},
		connected: regexp.MustCompile(`✓ example: .*bridge .*Connected`),
	},
	{
		// "codex mcp list" starts no server; the editors' interface does.
		id: "codex", program: []string{"@openai/codex/bin/codex.js", "app-server"},
		ask: `{"id":1,"method":"initialize","params":{"clientInfo":{"name":"test","version":"1"}}}
{"method":"initialized"}
{"id":2,"method":"mcpServerStatus/list","params":{}}
`,
		connected: regexp.MustCompile(`"id":2,.*"name":"example".*"serverInfo":\{"name":"`),
	},
	{
		id: "opencode", program: []string{"opencode-linux-x64/bin/opencode", "mcp", "list"},
		connected: regexp.MustCompile(`✓ example .*connected`),
	},
}

// platformPackage is the name of the package with the program for this system.
func platformPackage(name string) string {
	arch := map[string]string{"amd64": "x64"}[runtime.GOARCH]
	if arch == "" {
		arch = runtime.GOARCH
	}
	return name + "-" + runtime.GOOS + "-" + arch
}

func clientPath(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../.ci/npm/clients/node_modules", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s is missing. Run: bash .ci/setup", path)
	}
	return path
}

// What mcpctl install writes makes the real clients start the bridge and reach
// the server behind it, with the little environment that they pass on.
func TestClientsConnect(t *testing.T) {
	t.Parallel()
	s := serveDev(t, scripted(t)...)
	d := newDesk(t)
	d.login(t, s.MCPURL, s.CAFile, ada)
	for _, c := range installedClients {
		if c.id == "opencode" && runtime.GOOS+runtime.GOARCH != "linuxamd64" {
			continue // its other programs have packages of their own
		}
		t.Run(c.id, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			install := func(args ...string) {
				t.Helper()
				p := start(t, append(d.env(), "HOME="+home, "XDG_CONFIG_HOME="), append([]string{mcpctl}, args...)...)
				if code := p.wait(); code != 0 {
					t.Fatalf("mcpctl %s ended with %d: %s", strings.Join(args, " "), code, p.stderr)
				}
			}
			install("install", c.id, s.MCPURL, "--name", "example")
			if out := c.run(t, home); !c.connected.MatchString(out) {
				t.Errorf("%s does not connect:\n%s", c.id, out)
			}
			install("uninstall", c.id, "example")
			if out := c.run(t, home); strings.Contains(out, "example") {
				t.Errorf("%s still knows the server:\n%s", c.id, out)
			}
		})
	}
}

// run runs the client in a home folder and returns what it says.
func (c installedClient) run(t *testing.T, home string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := append([]string{clientPath(t, c.program[0])}, c.program[1:]...)
	if filepath.Ext(command[0]) == ".js" {
		command = append([]string{nodetest.Node(t)}, command...)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append([]string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TERM=dumb", "NO_COLOR=1"}, c.env...)
	cmd.Dir, cmd.WaitDelay = home, 10*time.Second
	if c.ask == "" {
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v", c.id, err)
		}
		return escapes.ReplaceAllString(string(out), "")
	}
	return c.answer(t, cmd)
}

// escapes are colours, which not every client leaves out.
var escapes = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// answer asks and returns the line with the second answer.
func (c installedClient) answer(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdin.Write([]byte(c.ask)); err != nil {
		t.Error(err)
	}
	var line []byte
	for lines := bufio.NewReader(stdout); ; {
		line, err = lines.ReadBytes('\n')
		var m struct{ ID int }
		if err != nil || json.Unmarshal(line, &m) == nil && m.ID == 2 {
			break
		}
	}
	_ = stdin.Close()
	_ = cmd.Wait() // how it ends is its own business
	if err != nil {
		t.Errorf("%s gives no answer: %v", c.id, err)
	}
	return string(line)
}
