package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdExits runs a program that must end with the given code:
// «exits CODE PROGRAM ARG...».
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	err := ts.Exec(args[1], args[2:]...)
	wantExit(ts, args[0], exitCode(ts, err))
	if args[1] == "mcpctl" && err != nil {
		wantParagraph(ts, ts.ReadFile("stderr"))
	}
}

// wantParagraph wants a failure to be told in one paragraph that begins with
// the program's name, and that is made for people.
func wantParagraph(ts *testscript.TestScript, stderr string) {
	_, fault, ok := strings.Cut("\n"+stderr, "\nmcpctl: ")
	switch fault = strings.TrimSuffix(fault, "\n"); {
	case !ok || fault == "":
		ts.Fatalf("the failure is not explained: %q", stderr)
	case strings.Contains(fault, "\n\n") || strings.Contains(fault, "\nmcpctl: "):
		ts.Fatalf("the explanation has more than one paragraph: %q", stderr)
	case strings.Contains(fault, "%!") || strings.Contains(fault, "<nil>") || strings.Contains(fault, "goroutine "):
		ts.Fatalf("the explanation is not made for people: %q", stderr)
	case jwt.MatchString(stderr):
		ts.Fatalf("the explanation holds a token")
	}
}

func wantExit(ts *testscript.TestScript, want string, got int) {
	if strconv.Itoa(got) != want {
		ts.Fatalf("exit code %d, want %s", got, want)
	}
}

// cmdInterrupt runs a program, interrupts it as Ctrl-C does once its output
// matches, and wants it to end with the code:
// «interrupt CODE PATTERN PROGRAM ARG...».
func cmdInterrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: interrupt CODE PATTERN PROGRAM ARG...")
	}
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	p := newProcess(ts, args[2:])
	stdin, err := p.cmd.StdinPipe() // stays open: the program must not end by itself
	ts.Check(err)
	defer stdin.Close()
	p.start(ts)
	if p.await(&p.output, pattern.MatchString) {
		ts.Check(p.cmd.Process.Signal(os.Interrupt))
	}
	wantExit(ts, args[0], p.finish(ts))
	if !pattern.MatchString(p.output.String()) {
		ts.Fatalf("it ended without saying %q", args[1])
	}
}

// cmdServe starts `mcpctl serve ARG...` under a name, waits until it listens
// and tells the script where: «serve NAME ARG...».
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: serve NAME ARG...")
	}
	file := ts.MkAbs(args[0] + ".ready")
	p := newProcess(ts, append([]string{"mcpctl", "serve", "--ready-file", file}, args[1:]...))
	p.start(ts)
	if !p.await(&p.stderr, func(text string) bool { return strings.Contains(text, "msg=serving ") }) {
		ts.Fatalf("the server ended: %s", p.stderr.String())
	}
	data, err := os.ReadFile(file)
	ts.Check(err)
	var r ready
	ts.Check(json.Unmarshal(data, &r))
	if r.PID != p.cmd.Process.Pid {
		ts.Fatalf("the ready file names process %d instead of %d", r.PID, p.cmd.Process.Pid)
	}
	for name, value := range map[string]string{
		"MCP_URL": r.MCPURL, "SSE_URL": r.SSEURL, "AUTHORITY": r.Authority, "TENANT": r.TenantID, "CLIENT": r.ClientID, "CA": r.CAFile,
		"SCOPE": strings.Join(r.Scopes, " "),
	} {
		if value != "" {
			ts.Setenv(name, value)
		}
	}
	stateOf(ts).served[args[0]] = p
}

// cmdStop interrupts a server as Ctrl-C does and wants it to end in order:
// «stop NAME».
func cmdStop(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || stateOf(ts).served[args[0]] == nil {
		ts.Fatalf("usage: stop NAME")
	}
	p := stateOf(ts).served[args[0]]
	ts.Check(p.cmd.Process.Signal(os.Interrupt))
	wantExit(ts, "0", p.finish(ts))
}

// cmdRPC runs `mcpctl bridge ARG...`, sends it the lines of a file, waits for
// the number of answers, closes its input and wants it to end well:
// «rpc COUNT FILE ARG...». A line «big N» stands for a call of N MiB with id 99.
func cmdRPC(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: rpc COUNT FILE ARG...")
	}
	count, err := strconv.Atoi(args[0])
	ts.Check(err)
	p := newProcess(ts, append([]string{"mcpctl", "bridge"}, args[2:]...))
	stdin, err := p.cmd.StdinPipe()
	ts.Check(err)
	input := []byte(ts.ReadFile(args[1]))
	p.start(ts)
	for line := range bytes.Lines(input) {
		if size, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("big ")); ok {
			n, err := strconv.Atoi(string(size))
			ts.Check(err)
			line = fmt.Appendf(nil, `{"jsonrpc":"2.0","id":99,"method":"tools/call","params":{"name":"%s"}}`+"\n", strings.Repeat("x", n<<20))
		}
		if _, err := stdin.Write(line); err != nil {
			break // it has ended, and says why
		}
		// A client waits for the answer to initialize before it goes on.
		if bytes.Contains(line, []byte(`"initialize"`)) {
			p.await(&p.stdout, func(text string) bool { return text != "" })
		}
	}
	p.await(&p.stdout, func(text string) bool { return countAnswers(text) >= count })
	_ = stdin.Close()
	wantExit(ts, "0", p.finish(ts))
	if got := countAnswers(p.stdout.String()); got != count {
		ts.Fatalf("%d answers, want %d", got, count)
	}
}

// countAnswers counts the responses among lines of JSON-RPC.
func countAnswers(text string) (n int) {
	for line := range strings.Lines(text) {
		var m struct{ Method *string }
		if json.Unmarshal([]byte(line), &m) == nil && m.Method == nil {
			n++
		}
	}
	return n
}

// cmdAnswer checks a value in the response with the id, given as JSON, among
// the lines of standard output: «answer ID PATH PATTERN».
func cmdAnswer(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: [!] answer ID PATH PATTERN")
	}
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		var m struct {
			ID     json.RawMessage
			Method *string
		}
		if json.Unmarshal([]byte(line), &m) == nil && m.Method == nil && string(m.ID) == args[0] {
			checkJSON(ts, neg, line, args[1], args[2])
			return
		}
	}
	ts.Fatalf("no answer has the id %s", args[0])
}

// cmdJSON checks a value in a JSON file, or in stdout: «json FILE PATH PATTERN».
// A path is names and numbers with dots in between; the pattern has to match
// the whole value, which is its text or its JSON. «-» as the path is the whole
// document; «!» wants another value or none.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: [!] json FILE PATH PATTERN")
	}
	checkJSON(ts, neg, ts.ReadFile(args[0]), args[1], args[2])
}

func checkJSON(ts *testscript.TestScript, neg bool, text, path, pattern string) {
	re, err := regexp.Compile("^(?s:" + pattern + ")$")
	ts.Check(err)
	value, err := lookUp(text, path)
	if err != nil && !neg {
		ts.Fatalf("%v in %s", err, text)
	}
	if matched := err == nil && re.MatchString(value); matched == neg {
		ts.Fatalf("%s is %s", path, value)
	}
}

func lookUp(text, path string) (string, error) {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return "", err
	}
	if path != "-" {
		for step := range strings.SplitSeq(path, ".") {
			switch in := v.(type) {
			case map[string]any:
				value, ok := in[step]
				if !ok {
					return "", fmt.Errorf("no %s", path)
				}
				v = value
			case []any:
				i, err := strconv.Atoi(step)
				if err != nil || i >= len(in) {
					return "", fmt.Errorf("no %s", path)
				}
				v = in[i]
			default:
				return "", fmt.Errorf("no %s", path)
			}
		}
	}
	if s, ok := v.(string); ok {
		return s, nil
	}
	data, err := json.Marshal(v)
	return string(data), err
}

// cmdEmpty wants folders to hold no files, at any depth: «empty DIR...».
func cmdEmpty(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: empty DIR...")
	}
	for _, dir := range args {
		ts.Check(filepath.WalkDir(ts.MkAbs(dir), func(path string, d os.DirEntry, err error) error {
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			if err == nil && !d.IsDir() {
				return fmt.Errorf("%s is left", path)
			}
			return err
		}))
	}
}

// cmdTakePort listens on a free port of this machine and puts the address into
// a variable: «takeport NAME».
func cmdTakePort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: takeport NAME")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = ln.Close() })
	ts.Setenv(args[0], ln.Addr().String())
}

// cmdExpand replaces $VARIABLES in files: «expand FILE...».
func cmdExpand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand FILE...")
	}
	for _, file := range args {
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(os.Expand(ts.ReadFile(file), ts.Getenv)), 0o700))
	}
}

// jwt is what the header of every token begins with, {"…, or a refresh token of
// the development authority.
var jwt = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}|\b[01]\.[A-Za-z0-9_-]{40,}`)

// cmdSecretFree wants files, or stdout and stderr, to hold no token:
// «secretfree FILE...».
func cmdSecretFree(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: secretfree FILE...")
	}
	for _, file := range args {
		if jwt.MatchString(ts.ReadFile(file)) {
			ts.Fatalf("%s holds a token", file)
		}
	}
}

// cmdHangup sends a server SIGHUP and waits until it has logged a line that
// matches: «hangup NAME REGEXP».
func cmdHangup(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || stateOf(ts).served[args[0]] == nil {
		ts.Fatalf("usage: hangup NAME REGEXP")
	}
	p := stateOf(ts).served[args[0]]
	before := len(p.stderr.String())
	ts.Check(p.cmd.Process.Signal(syscall.SIGHUP))
	want := regexp.MustCompile(args[1])
	if !p.await(&p.stderr, func(text string) bool { return want.MatchString(text[before:]) }) {
		ts.Fatalf("the server ended: %s", p.stderr.String())
	}
}
