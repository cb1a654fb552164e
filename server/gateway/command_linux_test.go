package gateway

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// shell is an upstream in a few words; its standard error gets no further.
func shell(t *testing.T, script string, limits ResourceLimits) wire.Conn {
	t.Helper()
	conn, err := Command{Args: []string{"/bin/sh", "-c", script}, Limits: limits}.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// said asks the upstream once and returns the result that it writes.
func said(t *testing.T, conn wire.Conn) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := conn.Write(ctx, wire.MustParse(`{"jsonrpc":"2.0","id":1,"method":"go"}`)); err != nil {
		t.Fatal(err)
	}
	f, err := conn.Read(ctx)
	return string(wire.Lookup(f.Raw, "result")), err
}

const answerStatus = `; printf '{"jsonrpc":"2.0","id":1,"result":%d}\n' $?; read -r line`

func TestMemoryLimit(t *testing.T) {
	const hungry = `read -r line; dd if=/dev/zero of=/dev/null bs=300M count=1` + answerStatus
	if got, err := said(t, shell(t, hungry, ResourceLimits{})); got != "0" {
		t.Fatalf("without a limit: status %s, %v", got, err)
	}
	if got, err := said(t, shell(t, hungry, ResourceLimits{Memory: 100 << 20})); got == "0" || err != nil {
		t.Errorf("with a limit of 100 MiB a child got 300 MiB: status %s, %v", got, err)
	}
}

func TestCPULimit(t *testing.T) {
	_, err := said(t, shell(t, `read -r line; while :; do :; done`, ResourceLimits{CPU: 300 * time.Millisecond}))
	var exit *wire.ExitError
	if !errors.As(err, &exit) || !errors.Is(err, io.EOF) || !strings.Contains(exit.Status, "CPU") {
		t.Errorf("got %v", err)
	}
}

func TestLimitsAreInheritedAndBounded(t *testing.T) {
	const script = `read -r line; printf '{"jsonrpc":"2.0","id":1,"result":"%s"}\n' "$(grep -E 'open files|processes|cpu time|data size' /proc/self/limits | tr -s ' \n' ' ')"; read -r line`
	got, err := said(t, shell(t, script, ResourceLimits{Memory: 1 << 30, OpenFiles: 50, Processes: 4321, CPU: time.Hour}))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Max cpu time 3600 3605 ", "Max data size 1073741824 1073741824 ", "Max processes 4321 4321 ", "Max open files 50 50 "} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	// More than this process may have itself is not asked for.
	if _, err := said(t, shell(t, `read -r line; true`+answerStatus, ResourceLimits{OpenFiles: 1 << 40})); err != nil {
		t.Error(err)
	}
}

func TestProbe(t *testing.T) {
	const answer = `read -r line; printf '{"jsonrpc":"2.0","id":"probe-%d",%s}\n' `
	tests := []struct{ name, script, want string }{
		{"fine", "echo starting; " + answer + `1 '"result":{}'`, ""},
		{"newer", answer + `1 '"error":{"code":-32022,"message":"no"}'; ` + answer + `2 '"result":{}'`, ""},
		{"asks first", `printf '{"jsonrpc":"2.0","id":7,"method":"ping"}\n'; read -r line; read -r pong; case $pong in *'"id":7'*) printf '{"jsonrpc":"2.0","id":"probe-1","result":{}}\n';; esac`, ""},
		{"refuses", "echo sorry >&2; " + answer + `1 '"error":{"code":1,"message":"no licence"}'; ` + answer + `2 '"error":{"code":-32601,"message":"what?"}'; read -r line`, "refuses initialize (no licence) and server/discover (what?); its last words: sorry"},
		{"dies", `echo no database >&2; exit 3`, "has ended (exit status 3); its last words: no database"},
		{"silent", `echo waiting for godot >&2; read -r line; read -r line`, "did not answer within 0s; its last words: waiting for godot"},
		{"mute", `read -r line; read -r line`, "has written nothing on standard error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if tt.name == "silent" || tt.name == "mute" {
				ctx, cancel = context.WithTimeout(t.Context(), 400*time.Millisecond)
			}
			defer cancel()
			err := Probe(ctx, Command{Args: []string{"/bin/sh", "-c", tt.script}}.Open)
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	if err := Probe(t.Context(), Command{Args: []string{"/no/such/program"}}.Open); err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("got %v", err)
	}
}
