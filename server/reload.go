package server

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
)

// reloadStep prepares one part of a new configuration. Its error refuses all of
// it; commit, which may be nil, can't fail.
type reloadStep func(old, next Config) (commit func(), err error)

// reloadable are the keys that can change while the server runs, with all below
// them; [] stands for any index. Sessions go on: what changes holds for their
// next request.
var reloadable = []string{
	"audit.on_failure", "audit.arguments", "access_log.enabled", "drain_timeout", "drain_delay",
	"entra.required_scopes", "entra.required_roles", "entra.allowed_clients",
}

// onReload adds a part. Only Listen calls it.
func (s *Server) onReload(keys []string, step reloadStep) {
	s.reload.keys = append(s.reload.keys, keys...)
	s.reload.steps = append(s.reload.steps, step)
}

// Reload takes over what read returns as far as that is possible while sessions
// go on; what isn't is logged and stays as it was. All of it or nothing: on an
// error the old configuration stays in force. Apart from that, and whether or not
// it fails, the audit log is opened anew, for log rotation, and so is the TLS
// certificate. It may be called at any time while the server runs.
func (s *Server) Reload(ctx context.Context, read func() (Config, error)) error {
	s.reload.mu.Lock()
	defer s.reload.mu.Unlock()
	s.notify.reloading()
	defer s.notify.ready()
	reopened := s.reopen()
	if reopened != nil {
		s.log.Error("files could not be opened anew; what was open stays in use", "reason", reopened)
	}
	taken := s.takeOver(ctx, read)
	if taken != nil {
		s.log.Error("the configuration was not reloaded; the old one stays in force", "reason", taken)
	}
	err := errors.Join(reopened, taken)
	s.metrics.reloadEnded(err)
	return err
}

// reopen takes up files that others replace.
func (s *Server) reopen() error {
	var errs []error
	if err := s.audit.Reopen(); err != nil {
		errs = append(errs, err)
	}
	if s.certificate != nil {
		if err := s.certificate.reload(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *Server) takeOver(ctx context.Context, read func() (Config, error)) error {
	wanted, err := read()
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	old := s.Config()
	fillDefaults(&wanted, old.PublicURL)
	next, changed, fixed := merge(old, wanted, slices.Concat(reloadable, s.reload.keys))
	var commits []func()
	for _, step := range s.reload.steps {
		commit, err := step(old, next)
		if err != nil {
			return err
		}
		if commit != nil {
			commits = append(commits, commit)
		}
	}
	for _, commit := range commits {
		commit()
	}
	s.setConfig(next)
	if len(fixed) > 0 {
		s.log.Warn("changes of these keys need a restart and are not in force", "keys", strings.Join(fixed, ", "))
	}
	s.log.Info("configuration reloaded", "changed", strings.Join(changed, ", "))
	return nil
}

// merge returns old with the values of the keys that may change taken from
// wanted, and which keys did change, and which would have had to.
func merge(old, wanted Config, may []string) (next Config, changed, fixed []string) {
	before, after := flatten(old), flatten(wanted)
	next = old
	next.Upstreams = slices.Clone(old.Upstreams)
	differ := map[string]bool{}
	for key := range before {
		differ[key] = before[key].text != after[key].text
	}
	for key := range after {
		differ[key] = before[key].text != after[key].text
	}
	for _, key := range slices.Sorted(maps.Keys(differ)) {
		switch {
		case !differ[key]:
		case mayChange(key, may) && assign(&next, wanted, key):
			changed = append(changed, key)
		default:
			fixed = append(fixed, key)
		}
	}
	return next, changed, fixed
}

// mayChange reports whether the key or one above it is listed.
func mayChange(key string, may []string) bool {
	plain := indexPattern.ReplaceAllString(key, "[]")
	return slices.ContainsFunc(may, func(k string) bool {
		rest, ok := strings.CutPrefix(plain, k)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}
