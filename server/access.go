package server

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/mcpctl/mcpctl/internal/logfile"
)

type remoteKey struct{}

// remoteOf is the address of the client whose request ctx came with.
func remoteOf(ctx context.Context) string {
	remote, _ := ctx.Value(remoteKey{}).(string)
	return remote
}

// accessLog writes a line for each HTTP request and counts it. It belongs
// behind whatever settles the client's address.
type accessLog struct {
	log     *slog.Logger
	on      atomic.Bool // whether there are lines
	file    *logfile.File
	metrics *metrics
}

func openAccessLog(opts AccessLog, log *slog.Logger, m *metrics) (*accessLog, error) {
	a := &accessLog{log: log, metrics: m}
	a.on.Store(opts.Enabled)
	if opts.File != "" {
		f, err := logfile.Open(opts.File, logfile.Options{})
		if err != nil {
			return nil, err
		}
		a.file, a.log = f, slog.New(slog.NewJSONHandler(f, nil))
	}
	return a, nil
}

// reload turns lines on and off.
func (a *accessLog) reload(_, next Config) (func(), error) {
	return func() { a.on.Store(next.AccessLog.Enabled) }, nil
}

func (a *accessLog) close() {
	if a != nil && a.file != nil {
		_ = a.file.Close()
	}
}

// handler returns next with a line for each of its requests. The line has no
// query, which may hold a session's id, and of the header only User-Agent.
func (a *accessLog) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		r = r.WithContext(context.WithValue(r.Context(), remoteKey{}, r.RemoteAddr))
		if !a.on.Load() && a.metrics == nil {
			next.ServeHTTP(w, r)
			return
		}
		seen := &seenWriter{ResponseWriter: w}
		defer func() {
			// Also where the handler panics, which is how it aborts an answer.
			took := time.Since(began)
			a.metrics.served(r.Method, seen.code(), took)
			if a.on.Load() {
				a.log.LogAttrs(r.Context(), slog.LevelInfo, "request",
					slog.String("method", shorten(r.Method)), slog.String("path", shorten(r.URL.Path)), slog.Int("status", seen.code()),
					slog.Int64("bytes", seen.bytes), slog.Float64("ms", milliseconds(took)),
					slog.String("remote", r.RemoteAddr), slog.String("proto", r.Proto), slog.String("agent", shorten(r.UserAgent())))
			}
		}()
		next.ServeHTTP(seen, r)
	})
}

// seenWriter remembers what became of a request. http.ResponseController sees
// through it.
type seenWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Unwrap is for http.ResponseController.
func (w *seenWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *seenWriter) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *seenWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return n, err
}

// code is the status, and 200 for an empty answer, as net/http sends it.
func (w *seenWriter) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}
