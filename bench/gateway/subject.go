package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A subject is one way to reach the measured server.
type subject struct {
	name    string
	group   string // stdio or http: what stands behind
	url     string
	token   string
	process *process // whose processor time counts
	results map[int][]result
	err     error
	closers []func()
}

func (s *subject) stop() {
	for _, closer := range slices.Backward(s.closers) {
		closer()
	}
}

// A bed is what all subjects stand on.
type bed struct {
	dir, root, self, mcpctl string
	authority               *authority
	token                   string
	http                    *process // the measured server on Streamable HTTP
	httpURL                 string
}

func newBed(ctx context.Context, dir string, o options) (_ *bed, err error) {
	b := &bed{dir: dir, mcpctl: o.mcpctl}
	if b.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if b.root, err = repositoryRoot(ctx); err != nil {
		return nil, err
	}
	if b.mcpctl == "" {
		b.mcpctl = filepath.Join(dir, "mcpctl")
		if runtime.GOOS == "windows" {
			b.mcpctl += ".exe"
		}
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", b.mcpctl, "github.com/mcpctl/mcpctl/cmd/mcpctl")
		build.Dir, build.Env = b.root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building mcpctl: %w: %s", err, out)
		}
	}
	if b.authority, err = newAuthority(); err != nil {
		return nil, err
	}
	if b.token, err = b.authority.token(); err != nil {
		return nil, err
	}
	b.http, b.httpURL, err = b.role(ctx, roleHTTP)
	return b, err
}

func (b *bed) close() {
	b.authority.web.Close()
	if b.http != nil {
		b.http.stop()
	}
}

// role starts this program in a role that listens.
func (b *bed) role(ctx context.Context, role ...string) (*process, string, error) {
	p, err := startProcess(ctx, append([]string{b.self}, role...), nil)
	if err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(p.stdout).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, "", fmt.Errorf("starting %s: %w", role[0], err)
	}
	return p, strings.TrimSpace(line), nil
}

// subjects starts all that are wanted.
func (b *bed) subjects(ctx context.Context, o options) (list []*subject, err error) {
	defer func() {
		if err != nil {
			for _, s := range list {
				s.stop()
			}
		}
	}()
	for _, def := range []struct {
		name, group string
		npm         bool
		start       func(ctx context.Context, s *subject) error
	}{
		{"direct", "http", false, func(_ context.Context, s *subject) error {
			s.url, s.process = b.httpURL, b.http
			return nil
		}},
		{"reverse proxy", "http", false, func(ctx context.Context, s *subject) error { return b.startRole(ctx, s, roleProxy, b.httpURL) }},
		{"mcpctl", "http", false, func(ctx context.Context, s *subject) error {
			return b.startMCPCTL(ctx, s, map[string]any{"url": b.httpURL})
		}},
		{"mcp-go's own server", "stdio", false, func(ctx context.Context, s *subject) error { return b.startRole(ctx, s, roleMCPGo) }},
		{"mcpctl", "stdio", false, func(ctx context.Context, s *subject) error {
			return b.startMCPCTL(ctx, s, map[string]any{"command": []string{b.self, roleStdio}})
		}},
		{"supergateway", "stdio", true, func(ctx context.Context, s *subject) error {
			return b.startNode(ctx, s, "supergateway", "dist/index.js", "--stdio", b.self+" "+roleStdio, "--outputTransport", "streamableHttp", "--stateful", "--logLevel", "none", "--port")
		}},
		{"mcp-proxy", "stdio", true, func(ctx context.Context, s *subject) error {
			return b.startNode(ctx, s, "mcp-proxy", "dist/bin/mcp-proxy.mjs", "--server", "stream", "--host", "127.0.0.1", "--port", "{port}", "--", b.self, roleStdio)
		}},
	} {
		if !o.wants(def.name) || def.npm && !o.npm {
			continue
		}
		s := &subject{name: def.name, group: def.group, results: map[int][]result{}}
		if err := def.start(ctx, s); err != nil {
			s.stop()
			return list, fmt.Errorf("starting %s: %w", s.name, err)
		}
		list = append(list, s)
	}
	return list, nil
}

func (b *bed) startRole(ctx context.Context, s *subject, role ...string) (err error) {
	if s.process, s.url, err = b.role(ctx, role...); err == nil {
		s.closers = append(s.closers, s.process.stop)
	}
	return err
}

// startMCPCTL serves one upstream, with every check of the token that a deployment has.
func (b *bed) startMCPCTL(ctx context.Context, s *subject, upstream map[string]any) error {
	dir, err := os.MkdirTemp(b.dir, "serve-")
	if err != nil {
		return err
	}
	ca, ready, config := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ready.json"), filepath.Join(dir, "mcpctl.yaml")
	if err := os.WriteFile(ca, b.authority.ca(), 0o600); err != nil {
		return err
	}
	upstream["name"] = "bench"
	raw, err := json.Marshal(map[string]any{ // JSON is YAML
		"listen": "127.0.0.1:0",
		"entra": map[string]any{
			"authority": b.authority.url(), "ca_file": ca, "tenant_id": tenant, "client_id": api, "required_scopes": []string{scope},
		},
		"upstreams": []any{upstream},
		"limits":    map[string]any{"sessions_per_user": 5000},
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(config, raw, 0o600); err != nil {
		return err
	}
	if s.process, err = startProcess(ctx, []string{b.mcpctl, "serve", "--config", config, "--ready-file", ready}, nil); err != nil {
		return err
	}
	s.closers = append(s.closers, s.process.stop)
	s.token = b.token
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var about struct {
			URL string `json:"mcp_url"`
		}
		if text, err := os.ReadFile(ready); err == nil && json.Unmarshal(text, &about) == nil && about.URL != "" {
			s.url = about.URL
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("it did not get ready: " + s.process.said())
		}
	}
}

// startNode starts a peer that bench/npm's lock file pins; a port stands in for {port} or comes last.
func (b *bed) startNode(ctx context.Context, s *subject, pkg, bin string, args ...string) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil { // free again for the peer, which can't tell what it got
		return err
	}
	script := filepath.Join(b.root, "bench", "npm", "node_modules", pkg, filepath.FromSlash(bin))
	if _, err := os.Stat(script); err != nil {
		return fmt.Errorf("%w; `make bench-gateway` installs it", err)
	}
	argv := append([]string{"node", script}, args...)
	if i := slices.Index(argv, "{port}"); i >= 0 {
		argv[i] = port
	} else {
		argv = append(argv, port)
	}
	if s.process, err = startProcess(ctx, argv, nil); err != nil {
		return err
	}
	s.closers = append(s.closers, s.process.stop)
	s.url = "http://127.0.0.1:" + port + "/mcp"
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var d net.Dialer
		if conn, err := d.DialContext(ctx, "tcp", "127.0.0.1:"+port); err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return errors.New("it did not listen: " + s.process.said())
		}
	}
}

// A process is one that was started for the measurement. It gets its stdin's end when it is to stop.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout io.Reader
	stderr *os.File
}

func startProcess(ctx context.Context, argv, env []string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, argv[0], argv[1:]...)}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(os.Interrupt) }
	p.cmd.WaitDelay = 5 * time.Second
	var err error
	if p.stderr, err = os.CreateTemp("", "mcpctl-bench-"); err != nil {
		return nil, err
	}
	p.cmd.Stderr = p.stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	if len(argv) > 1 && strings.HasPrefix(argv[1], rolePrefix) {
		if p.stdout, err = p.cmd.StdoutPipe(); err != nil {
			return nil, err
		}
	}
	return p, p.cmd.Start()
}

// stop ends the process within seconds.
func (p *process) stop() {
	_ = p.stdin.Close()
	_ = p.cmd.Process.Signal(os.Interrupt)
	timer := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait()
	timer.Stop()
	_ = p.stderr.Close()
	_ = os.Remove(p.stderr.Name())
}

// said is the end of what the process wrote on stderr.
func (p *process) said() string {
	text, _ := os.ReadFile(p.stderr.Name())
	return string(text[max(0, len(text)-500):])
}

// cpu is how long the process itself has run on a processor, without what it started; 0 where that can't be read, or where
// there is no process of its own.
func (p *process) cpu() time.Duration {
	if p == nil {
		return 0
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/stat")
	if err != nil {
		return 0
	}
	// proc(5): the name in parentheses may hold spaces; after it, utime and stime are fields 14 and 15 of the line.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var ticks int64
	for _, field := range fields[min(11, len(fields)):min(13, len(fields))] {
		n, _ := strconv.ParseInt(field, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
