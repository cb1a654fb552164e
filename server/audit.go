package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// auditOptions configure an audit log.
type auditOptions struct {
	Audit
	Logger *slog.Logger
	// Failed is told of each record that could not be written; may be nil.
	Failed func()
}

// auditLog appends records to a file, one JSON object a line; without a file it
// keeps nothing. Methods may be called concurrently.
type auditLog struct {
	opts     auditOptions
	refusals *refusalCounts

	mu     sync.Mutex
	f      *os.File // stays when closed: a record that comes too late is an error
	failed bool     // the last record could not be written
	lost   int      // records that could not be written since one could
	retry  time.Time
	torn   bool // the file ends in a part of a line
}

func openAudit(opts auditOptions) (*auditLog, error) {
	a := &auditLog{opts: opts}
	a.refusals = newRefusalCounts(a.write)
	if opts.File == "" {
		return a, nil
	}
	f, err := openAuditFile(opts.File)
	if err != nil {
		return nil, err
	}
	a.f = f
	return a, nil
}

func openAuditFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, withFix(fmt.Errorf("opening the audit log: %w", err), "Check audit.file")
	}
	return f, nil
}

// Reopen goes on in a new file under the same name, for log rotation: the old
// one was renamed. On an error it goes on in the old one.
func (a *auditLog) Reopen() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.f == nil {
		return nil
	}
	f, err := openAuditFile(a.opts.File)
	if err != nil {
		return err
	}
	old := a.f
	a.f, a.torn = f, false
	a.retry = time.Time{} // the new one may have room
	if err := old.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		a.opts.Logger.Warn("closing the rotated audit log", "reason", err)
	}
	return nil
}

// reload takes over what to record and what to do where that fails.
func (a *auditLog) reload(_, next Config) (func(), error) {
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.opts.OnFailure, a.opts.Arguments = next.Audit.OnFailure, next.Audit.Arguments
	}, nil
}

// healthy says whether calls are taken.
func (a *auditLog) healthy() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed && a.f != nil && a.opts.OnFailure != "continue" {
		return errAuditFailing
	}
	return nil
}

// Close writes what is still counted and closes the file.
func (a *auditLog) Close() error {
	a.refusals.close()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.f == nil {
		return nil
	}
	if err := a.f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("closing the audit log: %w", err)
	}
	return nil
}

// write appends one record in one write, so that lines stay whole. The error is
// nil where the configuration says to go on without records.
func (a *auditLog) write(r auditRecord) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.writeLocked(r)
	if err == nil {
		return nil
	}
	a.lost++
	if a.opts.Failed != nil {
		a.opts.Failed()
	}
	if a.opts.OnFailure != "continue" {
		return err
	}
	if a.lost == 1 {
		a.opts.Logger.Error("audit records are lost; calls go on, as the configuration says", "reason", err)
	}
	return nil
}

func (a *auditLog) writeLocked(r auditRecord) error {
	if a.f == nil {
		return nil
	}
	if a.failed {
		if err := a.resume(); err != nil {
			return err
		}
	}
	if err := a.append(r); err != nil {
		a.failed = true
		return err
	}
	return nil
}

// resume records how many records are missing, before the first that follows.
func (a *auditLog) resume() error {
	gap := auditRecord{Time: time.Now().UTC(), Method: "audit/resumed", Outcome: "lost", Count: a.lost}
	if err := a.append(gap); err != nil {
		return err
	}
	a.opts.Logger.Warn("audit records can be written again", "lost", a.lost)
	a.failed, a.lost = false, 0
	return nil
}

// append writes one line. What was written of one that did not get onto the disk
// whole is taken back, for readers expect JSON on each; where that can't be done
// the next begins on a new line.
func (a *auditLog) append(r auditRecord) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding an audit record: %w", err)
	}
	if a.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := a.f.Write(append(line, '\n'))
	if err != nil {
		if !a.takeBack(n) {
			a.torn = a.torn || n > 0
		}
		return fmt.Errorf("writing an audit record: %w", err)
	}
	a.torn = false
	return nil
}

// takeBack removes the last n bytes, and reports whether there were any and they
// are gone. Only a regular file can be shortened.
func (a *auditLog) takeBack(n int) bool {
	info, err := a.f.Stat()
	if n == 0 || err != nil || !info.Mode().IsRegular() || info.Size() < int64(n) {
		return false
	}
	return a.f.Truncate(info.Size()-int64(n)) == nil
}

// retryPause is how often a failing log is tried for requests that wait for it.
const retryPause = time.Second

// ready says whether a call may begin: not while its record could not be
// written. It tries that at most once a second.
func (a *auditLog) ready() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.failed || a.f == nil || a.opts.OnFailure == "continue" {
		return nil
	}
	now := time.Now()
	if now.Before(a.retry) {
		return errAuditFailing
	}
	a.retry = now.Add(retryPause)
	if err := a.resume(); err != nil {
		return fmt.Errorf("%w: %w", errAuditFailing, err)
	}
	return nil
}

// errAuditFailing: no call may begin, as its record could not be written.
var errAuditFailing = errors.New("audit records can't be written")
