package cmd

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/internal/logfile"
	"github.com/mcpctl/mcpctl/internal/redact"
)

// logFlags are the flags of commands that run for long.
type logFlags struct {
	level string
	file  string
}

func (l *logFlags) add(c *cobra.Command, level string) {
	c.Flags().StringVar(&l.level, "log-level", level, "least severe `level` to log: debug, info, warn or error")
	c.Flags().StringVar(&l.file, "log-file", "", "append the log to this `file` instead of standard error; it is kept in 3 files of 10 MiB")
	completeValues(c, "log-level", "debug", "info", "warn", "error")
}

// threshold returns the least severe level.
func (l *logFlags) threshold() (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.level)); err != nil {
		return level, &exitError{exitUsage, fmt.Errorf("unknown log level %q: use debug, info, warn or error", l.level)}
	}
	return level, nil
}

// open returns the logger and what closes its file. It masks credentials, and
// the secrets wherever they occur.
func (l *logFlags) open(stderr io.Writer, secrets ...string) (*slog.Logger, func(), error) {
	h, done, err := l.handler(stderr)
	if err != nil {
		return nil, nil, err
	}
	return slog.New(redact.NewHandler(h, secrets...)), done, nil
}

// handler returns what writes the log that the flags describe.
func (l *logFlags) handler(stderr io.Writer) (slog.Handler, func(), error) {
	level, err := l.threshold()
	if err != nil {
		return nil, nil, err
	}
	w, done := stderr, func() {}
	if l.file != "" {
		f, err := logfile.Open(l.file, logfile.Options{})
		if err != nil {
			// Not wrapped: the advice on paths of ours would follow.
			return nil, nil, fmt.Errorf("%v. Choose another file with --log-file", err) //nolint:errorlint // see above
		}
		w, done = f, func() { _ = f.Close() }
	}
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}), done, nil
}
