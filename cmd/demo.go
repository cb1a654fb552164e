package cmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// demoTimeout bounds the whole story; it usually takes about five seconds, most
// of them waiting for quotes to change.
const demoTimeout = 60 * time.Second

func newDemo(deps Deps) *cobra.Command {
	return &cobra.Command{
		Use:     "demo",
		Short:   "Watch it work: sign-in, bridge and protected server in one terminal",
		GroupID: "more",
		Long: `Run the whole story on this machine, without a question: an authority that
behaves like Entra ID, a protected MCP server, a sign-in with a device code, a
bridge as an MCP client would start it, and a client that uses the server's
tools. Nothing is left behind. The exit code is 0 only if every step held.`,
		Example: "  mcpctl demo",
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return runDemo(c.Context(), deps) },
	}
}

// demo is one run of the story.
type demo struct {
	deps   Deps
	exe    string
	dir    string // everything that the demo writes
	stack  *devStack
	client *demoClient
	step   int
}

func runDemo(ctx context.Context, deps Deps) (err error) {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	d := &demo{deps: deps}
	if d.exe, err = deps.Executable(); err != nil {
		return err
	}
	if d.dir, err = os.MkdirTemp("", "mcpctl-demo-"); err != nil {
		return fmt.Errorf("making a folder for the demo: %w", err)
	}
	defer func() {
		if removeErr := os.RemoveAll(d.dir); err == nil && removeErr != nil {
			err = fmt.Errorf("cleaning up after the demo: %w", removeErr)
		}
	}()
	d.say("mcpctl demo: from sign-in to a tool call, on this machine only.")
	if err := d.play(ctx); err != nil {
		return fmt.Errorf("the demo failed at step %d: %w", d.step, err)
	}
	return d.epilogue()
}

// play runs the story with the servers up, and stops them at its end.
func (d *demo) play(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d.head("An authority that behaves like Entra ID, and an MCP server that trusts it")
	d.stack, err = startDev(ctx, devOptions{
		listen: "127.0.0.1:0", authorityListen: "127.0.0.1:0", auditFile: d.auditFile(), log: slog.New(slog.DiscardHandler),
		lifetimes: fakeentra.Lifetimes{PollInterval: time.Second},
	})
	if err != nil {
		return err
	}
	defer d.stack.close()
	served := make(chan error, 1)
	go func() { served <- d.stack.server.Run(ctx) }()
	defer func() {
		cancel()
		if serveErr := <-served; err == nil && serveErr != nil && !errors.Is(serveErr, context.Canceled) {
			err = serveErr
		}
	}()
	d.say("authority   " + d.stack.authority.Authority())
	d.say("MCP server  " + d.url())
	for _, step := range []func(context.Context) error{
		d.refusedWithoutToken, d.signIn, d.startBridge, d.listTools, d.callWhoami, d.watchQuotes, d.stopBridge, d.showAudit,
	} {
		if err := step(ctx); err != nil {
			_ = d.endBridge()
			return err
		}
	}
	return nil
}

func (d *demo) url() string       { return d.stack.server.PublicURL() }
func (d *demo) auditFile() string { return filepath.Join(d.dir, "audit.jsonl") }

// say is a line of a step. A terminal gets a long one in several, which are
// indented further.
func (d *demo) say(text string) {
	s := newScreen(d.deps.Stdout, d.deps.Getenv)
	lines := []string{text}
	if s.terminal && columns(text) > s.width-3 {
		lines = wrapWords(text, s.width-5)
	}
	for i, line := range lines {
		if i > 0 {
			line = "  " + line
		}
		_ = s.line("   %s", line) // a demo that nobody can see goes on
	}
}

func (d *demo) head(text string) {
	d.step++
	_, _ = fmt.Fprintln(d.deps.Stdout)
	_ = newScreen(d.deps.Stdout, d.deps.Getenv).prose("%d. %s", d.step, text)
}

// refusedWithoutToken calls a tool without a token.
func (d *demo) refusedWithoutToken(ctx context.Context) error {
	d.head("A call without a token is refused, and the refusal says where to sign in")
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url(), strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	transport := wire.NewTransport()
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	challenge := resp.Header.Get("WWW-Authenticate")
	if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(challenge, "resource_metadata=") {
		return fmt.Errorf("the server answered %s with challenge %q instead of 401", resp.Status, challenge)
	}
	d.say("HTTP " + resp.Status)
	d.say("WWW-Authenticate: " + challenge)
	return nil
}

var userCode = regexp.MustCompile(`enter the code ([A-Z0-9-]+)`)

// signIn runs mcpctl login and plays the person with the browser.
func (d *demo) signIn(ctx context.Context) error {
	d.head("mcpctl login: sign in with a device code")
	c := d.command(ctx, "login", d.url(), "--dev-ca", d.stack.caFile, "--device-code", "--token-store", "file")
	stderr, err := c.StderrPipe()
	if err != nil {
		return err
	}
	var stdout bytes.Buffer
	c.Stdout = &stdout
	if err := c.Start(); err != nil {
		return fmt.Errorf("starting mcpctl login: %w", err)
	}
	lines := bufio.NewScanner(stderr)
	var said []string
	for lines.Scan() {
		d.say(lines.Text())
		said = append(said, lines.Text())
		if m := userCode.FindStringSubmatch(lines.Text()); m != nil {
			d.say("(the demo enters the code as " + d.stack.sample.Ada.Name + ")")
			if err := d.stack.authority.ApproveDevice(m[1], d.stack.sample.Ada.UPN); err != nil {
				return fmt.Errorf("entering the code: %w", err)
			}
		}
	}
	if err := c.Wait(); err != nil {
		return fmt.Errorf("mcpctl login: %w: %s", err, strings.Join(said, "; "))
	}
	for _, line := range strings.Split(strings.TrimSpace(stdout.String()), "\n")[:3] {
		d.say(line)
	}
	if !strings.Contains(stdout.String(), d.stack.sample.Ada.UPN) {
		return errors.New("the sign-in does not say who signed in")
	}
	return nil
}

func (d *demo) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, d.exe, args...)
	c.Env = d.env()
	return c
}

// env makes child processes keep their files in the demo's folder.
func (d *demo) env() []string {
	return append(os.Environ(), profile.DirVariable+"="+filepath.Join(d.dir, "config"))
}

// startBridge starts the bridge as an MCP client would.
func (d *demo) startBridge(ctx context.Context) error {
	d.head("mcpctl bridge: what an MCP client starts")
	conn, err := wire.StartChild(wire.ChildOptions{Command: []string{d.exe, "bridge", d.url()}, Env: d.env()})
	if err != nil {
		return err
	}
	d.client = &demoClient{conn: conn}
	result, err := d.client.call(ctx, "initialize", map[string]any{
		"protocolVersion": "2025-11-25", "capabilities": map[string]any{},
		"clientInfo": map[string]any{"name": "mcpctl-demo", "version": buildVersion().Version},
	})
	if err != nil {
		return err
	}
	var hello struct {
		ProtocolVersion string
		ServerInfo      struct{ Name string }
	}
	if err := json.Unmarshal(result, &hello); err != nil || hello.ServerInfo.Name == "" {
		return fmt.Errorf("reading the answer to initialize: %w", err)
	}
	d.say(fmt.Sprintf("connected to %s, MCP %s", hello.ServerInfo.Name, hello.ProtocolVersion))
	return d.client.notify(ctx, "notifications/initialized")
}

func (d *demo) listTools(ctx context.Context) error {
	d.head("tools/list through the bridge")
	result, err := d.client.call(ctx, "tools/list", nil)
	if err != nil {
		return err
	}
	var list struct {
		Tools []struct{ Name, Description string }
	}
	if err := json.Unmarshal(result, &list); err != nil || len(list.Tools) == 0 {
		return fmt.Errorf("reading the list of tools: %w", err)
	}
	for _, t := range list.Tools {
		about, _, _ := strings.Cut(t.Description, ". ")
		d.say(fmt.Sprintf("%-13s %s", t.Name, strings.TrimSuffix(about, ".")))
	}
	return nil
}

func (d *demo) callWhoami(ctx context.Context) error {
	d.head("tools/call whoami: the server knows who asks")
	result, err := d.client.call(ctx, "tools/call", map[string]any{"name": "whoami", "arguments": map[string]any{}})
	if err != nil {
		return err
	}
	var answer struct{ Content []struct{ Text string } }
	if err := json.Unmarshal(result, &answer); err != nil || len(answer.Content) == 0 {
		return fmt.Errorf("reading the answer of whoami: %w", err)
	}
	d.say(answer.Content[0].Text)
	if !strings.Contains(answer.Content[0].Text, d.stack.sample.Ada.UPN) {
		return errors.New("whoami does not name the person who signed in")
	}
	return nil
}

func (d *demo) stopBridge(context.Context) error { return d.endBridge() }

func (d *demo) endBridge() error {
	if d.client == nil {
		return nil
	}
	err := d.client.conn.Close()
	d.client = nil
	return err
}

// showAudit shows what the server noted of the refusal and of the call.
func (d *demo) showAudit(context.Context) error {
	d.head("What the server's audit says")
	data, err := os.ReadFile(d.auditFile())
	if err != nil {
		return fmt.Errorf("reading the audit: %w", err)
	}
	denied, allowed := false, false
	for line := range strings.Lines(string(data)) {
		var r struct{ Decision, Rule, Username, Method, Target string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return fmt.Errorf("reading an audit line: %w", err)
		}
		switch {
		case r.Decision == "deny" && !denied:
			denied = true
			d.say(fmt.Sprintf("deny   %s %s: %s", r.Method, r.Target, r.Rule))
		case r.Decision == "allow" && r.Target == "whoami":
			allowed = true
			d.say(fmt.Sprintf("allow  %s %s by %s", r.Method, r.Target, r.Username))
		}
	}
	if !denied || !allowed {
		return errors.New("the audit lacks the refusal or the call")
	}
	return nil
}

// epilogue says how to do the same with a real server.
func (d *demo) epilogue() error {
	exe := d.exe
	if strings.Contains(exe, "go-build") {
		exe = "mcpctl"
	}
	command, err := json.Marshal(exe)
	if err != nil {
		return err
	}
	d.say("")
	d.say("Every step held. For a server of your own: mcpctl login URL, then in claude_desktop_config.json:")
	d.say("")
	d.say(`{"mcpServers": {"contoso": {"command": ` + string(command) + `,`)
	d.say(`  "args": ["bridge", "https://mcp.contoso.com/mcp"]}}}`)
	return nil
}
