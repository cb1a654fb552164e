package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/bench/remote"
)

// remoteMode is the argument with which this program starts itself as the remote: in a process of its own, so that its work
// isn't the harness's.
const remoteMode = "serve-remote"

// startRemote starts the measured server in a process of its own. stop ends it.
func startRemote(ctx context.Context) (url string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	ctx, kill := context.WithCancel(ctx)
	defer func() {
		if err != nil {
			kill()
		}
	}()
	cmd := exec.CommandContext(ctx, self, remoteMode)
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = 5 * time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("starting the remote: %w", err)
	}
	stop = func() {
		stdin.Close() // the remote ends with its stdin
		bound := time.AfterFunc(3*time.Second, kill)
		_ = cmd.Wait()
		bound.Stop()
		kill()
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("starting the remote: %w", err)
	}
	return strings.TrimSpace(line), stop, nil
}

// serveRemote serves on a free loopback port, prints the address, and ends when stdin does.
func serveRemote(stdin io.Reader, stdout io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	handler := remote.New()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(stdout, "http://%s%s\n", listener.Addr(), remote.Path)
	_, _ = io.Copy(io.Discard, stdin)
	handler.Close()
	server.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
