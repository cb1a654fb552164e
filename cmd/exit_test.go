package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/tokencache"
)

func TestExitCodes(t *testing.T) {
	stopped, stop := context.WithCancel(context.Background())
	stop()
	failure := errors.New("no route")
	tests := []struct {
		name string
		ctx  context.Context
		err  error
		want int
		says string
	}{
		{"done", context.Background(), nil, 0, ""},
		{"done although interrupted", stopped, nil, 0, ""},
		{"failed", context.Background(), failure, 1, "mcpctl: no route\n"},
		{"usage", context.Background(), fmt.Errorf("reading: %w", &exitError{exitUsage, failure}), 2, "mcpctl: reading: no route\n"},
		{"sign-in needed", context.Background(), fmt.Errorf("calling: %w", &entra.Error{Op: "refreshing", Kind: entra.KindSignInRequired}), 4, "mcpctl: calling: refreshing: sign-in required\n"},
		{"a new sign-in repairs the store", context.Background(), fmt.Errorf("calling: %w", tokencache.ErrUnreadable), 4, "mcpctl: calling: token store unreadable\n"},
		{"a keyring that is locked needs no sign-in", context.Background(), tokencache.ErrKeyringUnavailable, 1, "mcpctl: keyring unavailable\n"},
		{"an outage needs no sign-in", context.Background(), &entra.Error{Op: "refreshing", Kind: entra.KindOutage}, 1, "mcpctl: refreshing: outage\n"},
		{"interrupted", stopped, fmt.Errorf("waiting: %w", context.Canceled), 130, ""},
		{"failed before the interrupt", stopped, failure, 1, "mcpctl: no route\n"},
		{"cancelled by something else", context.Background(), context.Canceled, 1, "mcpctl: context canceled\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stderr bytes.Buffer
			if got := report(tt.ctx, &stderr, tt.err); got != tt.want || stderr.String() != tt.says {
				t.Errorf("exit code %d, %q; want %d, %q", got, stderr.String(), tt.want, tt.says)
			}
		})
	}
}

// Ctrl-C is no failure of the server that was being asked at that moment.
func TestInterruptedWhileAskingTheServer(t *testing.T) {
	t.Setenv(profile.DirVariable, t.TempDir())
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		interrupt()
		<-release
	}))
	defer server.Close()
	defer close(release)
	var stdout, stderr bytes.Buffer
	deps := SystemDeps()
	deps.Stdout, deps.Stderr = &stdout, &stderr
	if code := Main(ctx, []string{"login", server.URL + "/mcp"}, deps); code != 130 {
		t.Errorf("exit code %d, want 130: %s", code, stderr.String())
	}
	if stdout.Len() > 0 || stderr.Len() > 0 {
		t.Errorf("it says %q and %q", stdout.String(), stderr.String())
	}
}

func TestAdviceOnFilesOfOurs(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(profile.DirVariable, dir)
	for _, test := range []struct {
		path  string
		cause error
		want  string // or "" for no advice
	}{
		{filepath.Join(dir, "dev", "tokens.bin"), syscall.EACCES, "a folder of yours that you can write to"},
		{filepath.Join(dir, "dev", "tokens.bin"), syscall.ENOSPC, "Make room on that disk"},
		{filepath.Join(t.TempDir(), "data.json"), syscall.ENOSPC, ""},
	} {
		err := &fs.PathError{Op: "write", Path: test.path, Err: test.cause}
		got := withDirHint(err)
		if !errors.Is(got, test.cause) || (test.want == "") != (got.Error() == err.Error()) || !strings.Contains(got.Error(), test.want) {
			t.Errorf("%v: got %v, want %q", err, got, test.want)
		}
	}
}
