package cmd

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// logFlags are the flags of commands that run for long.
type logFlags struct {
	level string
	file  string
}

func (l *logFlags) add(c *cobra.Command, level string) {
	c.Flags().StringVar(&l.level, "log-level", level, "least severe `level` to log: debug, info, warn or error")
	c.Flags().StringVar(&l.file, "log-file", "", "append the log to this `file` instead of standard error")
	completeValues(c, "log-level", "debug", "info", "warn", "error")
}

// open returns the logger and what closes its file.
func (l *logFlags) open(stderr io.Writer) (*slog.Logger, func(), error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.level)); err != nil {
		return nil, nil, &exitError{exitUsage, fmt.Errorf("unknown log level %q: use debug, info, warn or error", l.level)}
	}
	w, done := stderr, func() {}
	if l.file != "" {
		if err := os.MkdirAll(filepath.Dir(l.file), 0o700); err != nil {
			return nil, nil, fmt.Errorf("creating the log's folder: %w. Choose another file with --log-file", err)
		}
		f, err := os.OpenFile(l.file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, nil, fmt.Errorf("opening the log: %w. Choose another file with --log-file", err)
		}
		w, done = f, func() { _ = f.Close() }
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})), done, nil
}
