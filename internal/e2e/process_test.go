package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/profile"
)

// patience bounds every wait of a test.
const patience = 60 * time.Second

// testContext ends with patience, or with the test.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// desk is one person's configuration directory.
type desk struct{ dir string }

// newDesk returns an empty one. Nothing that is written there may be a secret
// in the clear.
func newDesk(t *testing.T) desk {
	t.Helper()
	d := desk{t.TempDir()}
	t.Cleanup(func() {
		err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			checkNoSecret(t, path, string(text))
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	return d
}

// variables are what the desk's processes need beyond the usual environment.
// Under the race detector they would sleep for a second before they end.
func (d desk) variables() map[string]string {
	return map[string]string{profile.DirVariable: d.dir, "GORACE": "atexit_sleep_ms=0"}
}

func (d desk) env() []string {
	env := os.Environ()
	for name, value := range d.variables() {
		env = append(env, name+"="+value)
	}
	return env
}

// process is a running program.
type process struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout io.Reader
	stderr *record
	read   sync.WaitGroup // who reads stdout
	ending chan struct{}  // closed when nobody wants the rest of it
}

// start starts mcpctl at the desk.
func (d desk) start(t *testing.T, args ...string) *process {
	t.Helper()
	return start(t, d.env(), append([]string{mcpctl}, args...)...)
}

// start starts a program. One that still runs at the end of the test is ended
// as by a signal; whichever way it ends, its standard error must hold no secret
// and no report of the race detector.
func start(t *testing.T, env []string, command ...string) *process {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	p := &process{
		t: t, name: filepath.Base(command[0]) + " " + command[1], stderr: &record{}, ending: make(chan struct{}),
		cmd: exec.CommandContext(ctx, command[0], command[1:]...),
	}
	p.cmd.Env, p.cmd.Stderr = env, p.stderr
	p.cmd.Cancel, p.cmd.WaitDelay = p.terminate, 15*time.Second
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	// A pipe of our own: what is in it can be read after the process has ended.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout, p.cmd.Stdout = r, w
	err = p.cmd.Start()
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(p.ending)
		end()
		_ = p.cmd.Wait()
		p.read.Wait()
		_ = r.Close()
		p.check()
	})
	return p
}

// terminate asks the process to end, where that can be asked.
func (p *process) terminate() error {
	if runtime.GOOS == "windows" {
		return p.cmd.Process.Kill()
	}
	return p.cmd.Process.Signal(syscall.SIGTERM)
}

func (p *process) check() {
	checkNoSecret(p.t, p.name+" on standard error", p.stderr.String())
	if strings.Contains(p.stderr.String(), "DATA RACE") {
		p.t.Errorf("%s has a data race", p.name)
	}
	if p.t.Failed() {
		p.t.Logf("%s wrote on standard error:\n%s", p.name, p.stderr)
	}
}

// run runs mcpctl to its end and returns its standard output and exit code.
func (d desk) run(t *testing.T, args ...string) (string, int) {
	t.Helper()
	p := d.start(t, args...)
	out, err := io.ReadAll(p.stdout)
	if err != nil {
		t.Fatal(err)
	}
	return string(out), p.wait()
}

// wait waits for the process to end by itself and returns its exit code.
func (p *process) wait() int {
	p.t.Helper()
	late := time.AfterFunc(patience, func() {
		p.t.Errorf("%s does not end", p.name)
		_ = p.cmd.Process.Kill()
	})
	defer late.Stop()
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Errorf("%s: %v", p.name, err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// record keeps what a process writes, to be read and waited for meanwhile.
type record struct {
	mu   sync.Mutex
	b    bytes.Buffer
	news chan struct{} // closed at the next write
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.news != nil {
		close(r.news)
		r.news = nil
	}
	return r.b.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

// await waits until pattern matches and returns its groups.
func (r *record) await(ctx context.Context, pattern *regexp.Regexp) ([]string, error) {
	for {
		r.mu.Lock()
		if m := pattern.FindStringSubmatch(r.b.String()); m != nil {
			r.mu.Unlock()
			return m, nil
		}
		if r.news == nil {
			r.news = make(chan struct{})
		}
		news := r.news
		r.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Access and ID tokens are JWTs; refresh tokens of the embedded authority are
// told by the name of the field that would carry them.
var secret = regexp.MustCompile(`eyJ[\w-]{8,}\.[\w-]+|Bearer [\w-]{8,}|refresh_token["=:]+[\w.-]{8,}`)

func checkNoSecret(t *testing.T, where, text string) {
	t.Helper()
	if found := secret.FindString(text); found != "" {
		t.Errorf("%s holds a secret: %.12s…", where, found)
	}
}
