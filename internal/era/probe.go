package era

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// errNoCommonVersion: the remote is of the modern era, in revisions that are
// not known here.
var errNoCommonVersion = errors.New("the server speaks only newer protocol revisions than this program")

// probe asks the remote with server/discover what it speaks (MCP 2026-07-28
// server/discover). It returns the verdict, and for a modern remote its answer,
// which owns its bytes. Unknown without an error: the remote can't tell at the
// moment, cause says why.
func (t *Translator) probe(ctx context.Context, who identity) (Era, wire.Frame, error) {
	select {
	case <-t.probing:
	case <-ctx.Done():
		return Unknown, wire.Frame{}, ctx.Err()
	}
	defer func() { t.probing <- struct{}{} }()

	version := modernVersion
	for {
		answer, err := t.discover(ctx, who.with(version))
		if err != nil && t.opts.Process && ctx.Err() == nil && processRefused(err) {
			return Legacy, wire.Frame{}, t.revive(err)
		}
		switch read("server/discover", answer, err) {
		case saysNothing:
			return Unknown, wire.Frame{}, err
		case saysLegacy:
			return Legacy, wire.Frame{}, nil
		}
		var status *wire.StatusError
		if errors.As(err, &status) {
			answer = status.Answer
		}
		supported := stringsAt(answer.Raw, "result", "supportedVersions")
		if answer.Failed {
			supported = stringsAt(answer.Raw, "error", "data", "supported")
		}
		common := knownModern(supported)
		switch {
		case !answer.Failed && common != "":
			return Modern, answer, nil
		case answer.Failed && common != "" && common != version:
			version = common
			continue
		case answer.Failed && supported == nil:
			return Unknown, wire.Frame{}, fmt.Errorf("the server refused server/discover: %.200s", wire.LookupString(answer.Raw, "error", "message"))
		}
		return Unknown, wire.Frame{}, fmt.Errorf("%w: it offers %q", errNoCommonVersion, supported)
	}
}

// discover sends one server/discover.
func (t *Translator) discover(ctx context.Context, who identity) (wire.Frame, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, t.opts.Limits.Probe, errProbeSilent)
	defer cancel()
	params := append([]byte(`{"_meta":`), who.meta()...)
	answer, err := t.ask(ctx, requestFrame(t.newID(), "server/discover", append(params, '}')))
	defer answer.Release()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return answer.Clone(), err
}

var errProbeSilent = errors.New("the server does not answer server/discover")

// processRefused reports how processes of the legacy era fail the probe: they
// say nothing, or exit.
func processRefused(err error) bool {
	return errors.Is(err, errProbeSilent) || errors.Is(err, ErrGone)
}

// revive makes a new remote after the probe has killed the old one.
func (t *Translator) revive(cause error) error {
	if !errors.Is(cause, ErrGone) {
		return nil
	}
	t.mu.Lock()
	old, again := t.remote, t.redialed
	t.redialed = true
	t.mu.Unlock()
	if again {
		return cause
	}
	t.opts.Logger.Info("the server ended at server/discover; starting it again")
	ctx, cancel := context.WithTimeout(context.Background(), t.opts.Limits.Settle)
	defer cancel()
	if err := old.End(ctx); err != nil {
		t.opts.Logger.Debug("closing the server that has ended", "reason", err)
	}
	remote, err := t.dial(t.fromRemote)
	if err != nil {
		return fmt.Errorf("starting the server again: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remote = remote
	return nil
}

// identity is what a modern request says of the client.
type identity struct {
	version      string
	info         []byte
	capabilities []byte
	level        string // "" for no log messages
}

func (i identity) with(version string) identity {
	i.version = version
	return i
}

// meta returns _meta for a request of our own.
func (i identity) meta() []byte {
	s := newSplice([]byte("{}"))
	i.into(s)
	return s.bytes()
}

// into puts the identity into a request's _meta.
func (i identity) into(s *splice) {
	s.set(metaVersion, quote(i.version))
	s.set(metaClientInfo, i.info)
	s.set(metaCapabilities, i.capabilities)
	if i.level != "" {
		s.set(metaLogLevel, quote(i.level))
	}
}

// ownIdentity is who we are where no client has said who it is.
func (t *Translator) ownIdentity() identity {
	info, err := json.Marshal(t.opts.ClientInfo)
	if err != nil {
		panic("era: " + err.Error()) // two strings
	}
	return identity{version: modernVersion, info: info, capabilities: []byte("{}")}
}

// identityOf reads what an initialize says of its client.
func (t *Translator) identityOf(hello wire.Frame) identity {
	who := t.ownIdentity()
	if info := wire.Lookup(hello.Raw, "params", "clientInfo"); isObject(info) {
		who.info = info
	}
	if c := wire.Lookup(hello.Raw, "params", "capabilities"); isObject(c) {
		who.capabilities = modernCapabilities(c)
	}
	return who
}

// modernCapabilities is what a legacy client can do behind the translation: it
// never tells of changed roots, and its tasks are of another design.
func modernCapabilities(raw []byte) []byte {
	s := newSplice(raw)
	s.drop("tasks")
	if roots := s.in("roots"); roots != nil {
		roots.drop("listChanged")
	}
	dropTasksExtension(s)
	return s.bytes()
}

func dropTasksExtension(capabilities *splice) {
	if e := capabilities.in("extensions"); e != nil {
		e.drop(extensionTasks)
	}
}
