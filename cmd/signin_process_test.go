package cmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

// home is the person's machine: servers, files and environment.
type home struct {
	t     *testing.T
	stack *testStack
	url   string
	dir   string
	env   []string
}

func newHome(t *testing.T, life fakeentra.Lifetimes, env ...string) *home {
	t.Helper()
	stack, err := startTestStack(life)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stack.close)
	h := &home{t: t, stack: stack, url: stack.server.PublicURL(), dir: t.TempDir()}
	vars := scriptVariables(h.dir)
	vars["PATH"], vars["CA"] = os.Getenv("PATH"), stack.caFile
	for name, value := range vars {
		h.env = append(h.env, name+"="+value)
	}
	h.env = append(h.env, env...)
	return h
}

func (h *home) codes() int {
	return h.stack.authority.CountRequests(fakeentra.EndpointDeviceCode, "")
}

// login runs mcpctl login and approves the code as the person.
func (h *home) login(person string, args ...string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), scriptPatience)
	defer cancel()
	c := exec.CommandContext(ctx, "mcpctl", append([]string{"login", h.url, "--dev-ca", h.stack.caFile, "--device-code", "--token-store", "file"}, args...)...)
	c.Env = h.env
	stderr, err := c.StderrPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		h.t.Fatal(err)
	}
	var seen strings.Builder
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		seen.WriteString(lines.Text() + "\n")
		if m := signInPrompt.FindStringSubmatch(lines.Text()); m != nil {
			h.approve(m[1], person)
		}
	}
	if err := c.Wait(); err != nil {
		h.t.Fatalf("login: %v\n%s", err, seen.String())
	}
}

func (h *home) approve(code, person string) {
	h.t.Helper()
	if err := h.stack.authority.ApproveDevice(code, person+"@contoso.example"); err != nil {
		h.t.Fatal(err)
	}
}

// forget takes the tokens away and leaves the profile.
func (h *home) forget() {
	h.t.Helper()
	found, err := filepath.Glob(filepath.Join(h.dir, "config", "dev", "tokens.bin"))
	if err != nil || len(found) != 1 {
		h.t.Fatalf("%v, %v", found, err)
	}
	if err := os.Remove(found[0]); err != nil {
		h.t.Fatal(err)
	}
}

// bridged is one mcpctl bridge and the client that has started it.
type bridged struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    chan map[string]any
	raw    *bytes.Buffer
	stderr *bytes.Buffer
	done   sync.WaitGroup
	ended  sync.Once
	early  []map[string]any // read and not yet asked for
	next   int
}

func (h *home) bridge(args ...string) *bridged {
	h.t.Helper()
	b := &bridged{t: h.t, out: make(chan map[string]any, 1000), raw: &bytes.Buffer{}, stderr: &bytes.Buffer{}}
	b.cmd = exec.Command("mcpctl", append([]string{"bridge", h.url, "--log-level", "debug"}, args...)...)
	b.cmd.Env, b.cmd.Stderr = h.env, b.stderr
	var err error
	if b.in, err = b.cmd.StdinPipe(); err != nil {
		h.t.Fatal(err)
	}
	stdout, err := b.cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	b.done.Go(func() {
		defer close(b.out)
		lines := bufio.NewScanner(io.TeeReader(stdout, b.raw))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var m map[string]any
			if json.Unmarshal(lines.Bytes(), &m) != nil {
				m = map[string]any{"not JSON": lines.Text()}
			}
			b.out <- m
		}
	})
	h.t.Cleanup(b.stop)
	return b
}

// stop closes the client's end; the bridge has to end by itself and must have
// said nothing secret.
func (b *bridged) stop() {
	b.ended.Do(func() {
		_ = b.in.Close()
		timer := time.AfterFunc(scriptPatience, func() { _ = b.cmd.Process.Kill() })
		defer timer.Stop()
		b.done.Wait()
		_ = b.cmd.Wait()
		for name, text := range map[string]string{"stdout": b.raw.String(), "stderr": b.stderr.String()} {
			if jwt.MatchString(text) || strings.Contains(text, "device_code") {
				b.t.Errorf("%s holds a secret:\n%s", name, text)
			}
		}
	})
}

func (b *bridged) send(raw string) {
	b.t.Helper()
	if _, err := io.WriteString(b.in, raw+"\n"); err != nil {
		b.t.Fatalf("%v\n%s", err, b.stderr.String())
	}
}

// await returns the next message for which match says so; others are kept.
func (b *bridged) await(what string, match func(map[string]any) bool) map[string]any {
	b.t.Helper()
	for i, m := range b.early {
		if match(m) {
			b.early = append(b.early[:i], b.early[i+1:]...)
			return m
		}
	}
	timeout := time.After(scriptPatience)
	for {
		select {
		case m, ok := <-b.out:
			if !ok {
				b.t.Fatalf("the bridge ended before %s\n%s", what, b.raw.String())
			}
			if match(m) {
				return m
			}
			b.early = append(b.early, m)
		case <-timeout:
			b.t.Fatalf("no %s\nstdout %s", what, b.raw.String())
		}
	}
}

// ask sends a request and returns its answer as text.
func (b *bridged) ask(method, params string) string {
	b.t.Helper()
	b.next++
	id := float64(b.next)
	b.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, b.next, method, params))
	return text(b.await("answer to "+method, func(m map[string]any) bool { return m["id"] == id && m["method"] == nil }))
}

func (b *bridged) notified(method string) {
	b.t.Helper()
	b.await(method, func(m map[string]any) bool { return m["method"] == method })
}

func (b *bridged) greet() string {
	b.t.Helper()
	answer := b.ask("initialize", `{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}`)
	b.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return answer
}

const signInCall = `{"name":"sign_in"}`

// code calls sign_in and returns the code that it tells.
func (b *bridged) code() string {
	b.t.Helper()
	answer := b.ask("tools/call", signInCall)
	var m struct {
		Result struct {
			StructuredContent struct {
				Code string `json:"user_code"`
			} `json:"structuredContent"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(answer), &m); err != nil || m.Result.StructuredContent.Code == "" {
		b.t.Fatalf("no code in %s", answer)
	}
	return m.Result.StructuredContent.Code
}

func text(m map[string]any) string {
	b, _ := json.Marshal(m)
	return string(b)
}

func wants(t *testing.T, got string, texts ...string) {
	t.Helper()
	for _, w := range texts {
		if !strings.Contains(got, w) {
			t.Fatalf("got  %s\nwant %q in it", got, w)
		}
	}
}

// Checklist 1: a client that starts many bridges makes a person sign in once,
// with one code, and all of them work afterwards. Until somebody calls the tool
// nothing is started.
func TestRow01TwentyStartsOneLogin(t *testing.T) {
	h := newHome(t, fakeentra.Lifetimes{})
	h.login("ada")
	h.forget()
	before := h.codes()
	const n = 20
	bridges := make([]*bridged, n)
	for i := range bridges {
		bridges[i] = h.bridge()
	}
	for _, b := range bridges {
		wants(t, b.greet(), `"name":"mcpctl"`, "sign_in")
		wants(t, b.ask("tools/list", "{}"), `"name":"sign_in"`)
	}
	if h.codes() != before {
		t.Fatal("starting and listing began a sign-in")
	}
	codes := make([]string, n)
	var wg sync.WaitGroup
	for i, b := range bridges {
		wg.Go(func() { codes[i] = b.code() })
	}
	wg.Wait()
	for _, c := range codes {
		if c != codes[0] {
			t.Fatalf("codes %v", codes)
		}
	}
	h.approve(codes[0], "ada")
	for _, b := range bridges {
		b.notified("notifications/tools/list_changed")
	}
	for _, b := range bridges {
		wants(t, b.ask("tools/call", `{"name":"whoami"}`), "ada@contoso.example")
	}
	if got := h.codes() - before; got != 1 {
		t.Errorf("%d codes were asked for", got)
	}
}

// The process that leads a sign-in may be killed: another takes over with a new
// code and says so.
func TestLeaderIsKilled(t *testing.T) {
	h := newHome(t, fakeentra.Lifetimes{})
	h.login("ada")
	h.forget()
	leader := h.bridge()
	leader.greet()
	old := leader.code()
	follower := h.bridge()
	follower.greet()
	if got := follower.code(); got != old {
		t.Fatalf("codes %s and %s", old, got)
	}
	if err := leader.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	answer := follower.ask("tools/call", signInCall)
	wants(t, answer, `"status":"pending"`, "has ended")
	if strings.Contains(answer, old) {
		t.Fatalf("the old code is shown: %s", answer)
	}
	h.approve(codeIn(t, answer), "ada")
	follower.notified("notifications/tools/list_changed")
	wants(t, follower.ask("tools/call", `{"name":"whoami"}`), "ada@contoso.example")
}

func codeIn(t *testing.T, answer string) string {
	t.Helper()
	_, after, ok := strings.Cut(answer, `"user_code":"`)
	code, _, ok2 := strings.Cut(after, `"`)
	if !ok || !ok2 {
		t.Fatalf("no code in %s", answer)
	}
	return code
}

// Without a profile the bridge says which command to run, and connects by itself
// when that has been done.
func TestLoginInATerminalConnectsARunningBridge(t *testing.T) {
	h := newHome(t, fakeentra.Lifetimes{})
	b := h.bridge()
	wants(t, b.greet(), "mcpctl login "+h.url)
	wants(t, b.ask("tools/list", "{}"), "sign_in")
	wants(t, b.ask("tools/call", signInCall), "mcpctl login "+h.url)
	wants(t, b.ask("tools/call", `{"name":"whoami"}`), "-31001", "mcpctl login "+h.url)
	h.login("ada")
	b.notified("notifications/tools/list_changed")
	wants(t, b.ask("tools/list", "{}"), "whoami")
	wants(t, b.ask("tools/call", `{"name":"whoami"}`), "ada@contoso.example")
}

// Checklist 9: an organisation that forbids device codes is named as the cause,
// with the command to type where no browser would appear.
func TestRow09DeviceCodeBlocked(t *testing.T) {
	h := newHome(t, fakeentra.Lifetimes{})
	h.login("ada")
	h.forget()
	h.stack.authority.Inject(fakeentra.FaultDeviceCodeBlocked(fakeentra.BlockInvalidGrant)...)
	b := h.bridge()
	b.greet()
	b.code()
	wants(t, b.ask("tools/call", signInCall), "AADSTS53003", "mcpctl login "+h.url+" --browser", `"isError":true`)
}

// Checklist 9, with each number that policies have for it: both mcpctl login and
// the bridge go on in the browser, and say why.
func TestRow09EachBlockSwitchesToTheBrowser(t *testing.T) {
	t.Parallel()
	const notAllowed, device = "does not allow sign-in with a code", "asks for the state of the device, which a sign-in with a code does not tell"
	for number, why := range map[int]string{
		53003: notAllowed, 530031: notAllowed, 530032: notAllowed, 530035: notAllowed, 530036: notAllowed,
		50005: device, 50097: device, 53000: device, 53001: device, 530002: device, 530003: device, 530033: device,
	} {
		t.Run(fmt.Sprint(number), func(t *testing.T) {
			t.Parallel()
			h := newHome(t, fakeentra.Lifetimes{}, "BROWSER=fakebrowser", "PERSON=ada")
			h.stack.authority.Inject(fakeentra.Fault{
				Name: "blocked", Endpoint: fakeentra.EndpointToken, Grant: fakeentra.GrantDeviceCode,
				Error: &fakeentra.Error{Code: "invalid_grant", AADSTS: number, Message: "Blocked by a policy."},
			})
			why := fmt.Sprintf("%s (AADSTS%d)", why, number)
			c := exec.CommandContext(t.Context(), "mcpctl", "login", h.url, "--dev-ca", h.stack.caFile, "--token-store", "file")
			c.Env = h.env
			said, err := c.CombinedOutput()
			if err != nil {
				t.Fatalf("login: %v\n%s", err, said)
			}
			wants(t, string(said), why+". Going on in the browser.", "Signed in as")

			h.forget()
			b := h.bridge()
			b.greet()
			b.code()
			answer := b.ask("tools/call", signInCall)
			if !strings.Contains(answer, `"status":"signed_in"`) { // the browser may be faster than we are
				wants(t, answer, why+", so it goes on in a browser")
			}
			b.notified("notifications/tools/list_changed")
			wants(t, b.ask("tools/call", `{"name":"whoami"}`), "ada@contoso.example")
		})
	}
}

// A session that began with a device code ends when the organisation forbids
// those: the browser is next, without another code that would be of no use.
func TestDeviceCodesForbiddenWhileRunning(t *testing.T) {
	h := newHome(t, fakeentra.Lifetimes{AccessToken: 2 * time.Minute, CAEAccessToken: 2 * time.Minute}, "BROWSER=fakebrowser", "PERSON=ada")
	h.login("ada")
	h.stack.authority.SetLifetimes(fakeentra.Lifetimes{AccessToken: time.Minute, CAEAccessToken: time.Minute, PollInterval: time.Second})
	b := h.bridge()
	b.greet()
	wants(t, b.ask("tools/call", `{"name":"whoami"}`), "ada@contoso.example")
	before := h.codes()
	h.stack.authority.Inject(fakeentra.FaultProtocolTracked())
	wants(t, b.untilError(`{"name":"whoami"}`), "-31001", "AADSTS530036", "does not allow sign-in with a code", "sign_in")
	h.stack.authority.ClearFaults()
	answer := b.ask("tools/call", signInCall)
	if !strings.Contains(answer, `"status":"signed_in"`) {
		wants(t, answer, "does not allow sign-in with a code (AADSTS530036)", "browser")
	}
	b.notified("notifications/tools/list_changed")
	wants(t, b.untilResult(`{"name":"whoami"}`), "ada@contoso.example")
	if n := h.codes() - before; n != 0 {
		t.Errorf("%d codes were asked for", n)
	}
}

// untilError calls a tool until that fails.
func (b *bridged) untilError(call string) string {
	b.t.Helper()
	return b.until(call, func(answer string) bool { return strings.Contains(answer, `"error"`) })
}

// untilResult calls a tool until that succeeds.
func (b *bridged) untilResult(call string) string {
	b.t.Helper()
	return b.until(call, func(answer string) bool { return !strings.Contains(answer, `"error"`) })
}

func (b *bridged) until(call string, enough func(string) bool) (answer string) {
	b.t.Helper()
	for until := time.Now().Add(scriptPatience); time.Now().Before(until); {
		if answer = b.ask("tools/call", call); enough(answer) {
			return answer
		}
	}
	b.t.Fatalf("got %s again and again", answer)
	return answer
}

// Checklist 5 and a revoked session: while running, tokens are renewed without a
// word; when that ends there is one clear answer, and the person signs in again
// where they are.
func TestRevokedWhileRunning(t *testing.T) {
	// MSAL wants five minutes left of a token: these are renewed each time.
	h := newHome(t, fakeentra.Lifetimes{AccessToken: 2 * time.Minute, CAEAccessToken: 2 * time.Minute})
	h.login("ada")
	// The bridge asks anew when a minute is left.
	h.stack.authority.SetLifetimes(fakeentra.Lifetimes{AccessToken: time.Minute, CAEAccessToken: time.Minute, PollInterval: time.Second})
	b := h.bridge()
	wants(t, b.greet(), "serverInfo")
	wants(t, b.ask("tools/call", `{"name":"whoami"}`), "ada@contoso.example")
	h.stack.authority.Inject(fakeentra.FaultRevoked().At(fakeentra.GrantRefreshToken))
	// A token is remembered for a second.
	wants(t, b.untilError(`{"name":"whoami"}`), "-31001", "AADSTS50173", "sign_in")
	b.notified("notifications/tools/list_changed")
	wants(t, b.ask("tools/list", "{}"), "sign_in")
	h.stack.authority.ClearFaults()
	h.approve(b.code(), "ada")
	b.notified("notifications/tools/list_changed")
	wants(t, b.ask("tools/call", `{"name":"whoami"}`), "ada@contoso.example")
}
