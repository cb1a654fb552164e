package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/tokencache"
)

// Exit codes, documented in the command reference.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitSignIn      = 4 // a person has to sign in
	exitInterrupted = 130
)

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usageError is a command line that can't be understood.
func usageError(c *cobra.Command, err error) error {
	return &exitError{exitUsage, fmt.Errorf("%w\nRun: %s --help", err, c.CommandPath())}
}

func usagef(c *cobra.Command, format string, args ...any) error {
	return usageError(c, fmt.Errorf(format, args...))
}

// report prints err the way every command ends, and returns the exit code.
func report(ctx context.Context, stderr io.Writer, err error) int {
	var coded *exitError
	switch {
	case err == nil:
		return exitDone
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	_, _ = fmt.Fprintf(stderr, "mcpctl: %s\n", withDirHint(err))
	switch {
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, entra.ErrSignInRequired), errors.Is(err, tokencache.ErrUnreadable):
		return exitSignIn
	}
	return exitFailed
}
