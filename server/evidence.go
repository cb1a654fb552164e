package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/auth"
	"github.com/mcpctl/mcpctl/server/gateway"
)

// openEvidence opens what tells operators how the server is and who did what.
func (s *Server) openEvidence(ctx context.Context, version string) (err error) {
	t := s.cfg.Telemetry
	s.notify = newNotifier(s.getenv, os.Getpid(), s.log)
	passed, err := passedListener(socketTelemetry, s.getenv, os.Getpid())
	if err != nil {
		return err
	}
	if t.Listen != "" || passed != nil {
		s.metrics = newMetrics(version)
		if s.telemetry, err = listenTelemetry(ctx, passed, t.Listen, s.metrics, &s.health); err != nil {
			return err
		}
	}
	if s.tracing, err = openTracing(ctx, t, version, s.getenv, s.log); err != nil {
		return err
	}
	if s.access, err = openAccessLog(s.cfg.AccessLog, s.log, s.metrics); err != nil {
		return err
	}
	s.audit, err = openAudit(auditOptions{Audit: s.cfg.Audit, Logger: s.log, Failed: s.metrics.auditFailed})
	return err
}

// watch connects the evidence with what has been opened since.
func (s *Server) watch() {
	s.metrics.fronts(s.endpoints.stats)
	s.health.add("audit", s.audit.healthy)
	s.health.add("authority", func() error { return s.verifier.Load().KeysHeld() })
	s.onReload(nil, s.audit.reload)
	s.onReload(nil, s.access.reload)
}

func (s *Server) closeEvidence() {
	if s.audit != nil {
		if err := s.audit.Close(); err != nil {
			s.log.Warn("closing the audit log", "reason", err)
		}
	}
	s.tracing.close(s.log)
	s.access.close()
	s.telemetry.close()
}

// record is gateway.Options.Record.
func (s *Server) record(ctx context.Context, r gateway.Record) error {
	s.metrics.recorded(r)
	return s.audit.record(ctx, r)
}

// refused is auth.GuardOptions.OnRefusal.
func (s *Server) refused(r *http.Request, err error) {
	var refusal *auth.Refusal
	if errors.As(err, &refusal) {
		s.metrics.refused(string(refusal.Rule))
	} else {
		s.metrics.refused(ruleUnavailable)
	}
	s.audit.refused(r, err)
}

// checkedParams is wire.FrontOptions.CheckParams, which keeps evidence of what it
// refuses: nothing behind the front hears of it.
func (s *Server) checkedParams(check func(context.Context, wire.Frame, http.Header) error) func(context.Context, wire.Frame, http.Header) error {
	return func(ctx context.Context, f wire.Frame, h http.Header) error {
		err := check(ctx, f, h)
		if err != nil {
			s.metrics.refused(ruleParamMismatch)
			s.audit.mismatched(ctx, f)
		}
		return err
	}
}

// alive says whether the watchdog is to be fed: the server answers itself.
func (s *Server) alive() bool {
	s.endpoints.stats() // takes the locks that a deadlock would hold
	return true
}

// stats sums up what the endpoints hold, by transport.
func (e *endpoints) stats() map[string]wire.Stats {
	var streams, sse wire.Stats
	for _, ep := range e.all {
		streams = addStats(streams, ep.streams.Stats())
		if ep.sse != nil {
			sse = addStats(sse, ep.sse.Stats())
		}
	}
	return map[string]wire.Stats{"streamable-http": streams, "sse": sse}
}

func addStats(a, b wire.Stats) wire.Stats {
	return wire.Stats{
		Sessions: a.Sessions + b.Sessions, Opened: a.Opened + b.Opened, Refused: a.Refused + b.Refused, Streams: a.Streams + b.Streams,
		Calls: a.Calls + b.Calls, Listens: a.Listens + b.Listens, Pending: a.Pending + b.Pending, Bytes: a.Bytes + b.Bytes,
	}
}

// audited lets no message in while no record of it could be written.
func (s *Server) audited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		if err := s.audit.ready(); err != nil {
			s.log.Warn("a message was turned away", "reason", err)
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Retry-After", "5")
			w.WriteHeader(http.StatusServiceUnavailable)
			_ = json.NewEncoder(w).Encode(json.RawMessage(wire.NewError(wire.ID("null"), gateway.CodeUpstream,
				"The gateway can't write its audit records and takes no calls until it can. Its operator finds the reason in the gateway's log.", nil).Raw))
			return
		}
		next.ServeHTTP(w, r)
	})
}
