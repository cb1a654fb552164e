package cmd

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"

	"github.com/mcpctl/mcpctl/internal/logfile"
	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/redact"
)

// Bounds of the log that bridges to one server share: whoever uses a desktop
// client never sees standard error, and must find out all the same what
// happened.
const (
	runLogSize = 1 << 20
	runLogKeep = 2
)

// Messages by which a reader of the log finds where runs begin and end.
const (
	msgStarted = "bridge started"
	msgEnded   = "bridge ended"
)

// runKey is the attribute that tells the records of one run from those of
// others.
const runKey = "run"

// logHead is the first line of each file: file names can't hold addresses.
type logHead struct {
	Server string `json:"server"`
}

// openRunLog opens the log of bridges to url for one more run. Records are
// lines of JSON.
func openRunLog(url string, level slog.Level) (slog.Handler, func(), error) {
	dir, err := filesDir()
	if err != nil {
		return nil, nil, err
	}
	path, err := profile.LogPath(dir, url)
	if err != nil {
		return nil, nil, err
	}
	canonical, err := profile.Canonical(url)
	if err != nil {
		return nil, nil, err
	}
	head, err := json.Marshal(logHead{redact.URL(canonical)})
	if err != nil {
		return nil, nil, fmt.Errorf("writing the log's first line: %w", err)
	}
	f, err := logfile.Open(path, logfile.Options{MaxSize: runLogSize, Keep: runLogKeep, Header: append(head, '\n')})
	if err != nil {
		return nil, nil, err
	}
	var run [4]byte
	_, _ = rand.Read(run[:]) // never fails (crypto/rand)
	h := slog.NewJSONHandler(f, &slog.HandlerOptions{Level: level}).WithAttrs([]slog.Attr{
		slog.String(runKey, hex.EncodeToString(run[:])), slog.Int("pid", os.Getpid()),
	})
	return h, func() { _ = f.Close() }, nil
}

// removeRunLog removes the log of bridges to url.
func removeRunLog(url string) error {
	dir, err := filesDir()
	if err != nil {
		return err
	}
	path, err := profile.LogPath(dir, url)
	if err != nil {
		return err
	}
	return logfile.Remove(path)
}

// removeRunLogs removes the logs of all bridges.
func removeRunLogs() error {
	dir, err := filesDir()
	if err != nil {
		return err
	}
	return os.RemoveAll(profile.LogDir(dir))
}
