package era

import (
	"context"
	"errors"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// initialize opens the session of a legacy client: with the remote itself where
// it takes initialize, else by translation.
func (t *Translator) initialize(ctx context.Context, f wire.Frame) error {
	hello := f.Clone()
	t.mu.Lock()
	t.hello = &hello
	t.mu.Unlock()
	t.useLegacy(nil)
	if _, modern := t.translating(); modern != nil {
		t.leaveModern(modern) // the client has fallen back
	}
	if t.era() == Modern {
		taken, err := t.serveLegacy(ctx, f)
		if taken || err != nil {
			return err
		}
		if t.opts.Mode != ModeAuto {
			return t.opts.Deliver(ctx, wire.NewError(f.ID, wire.CodeInvalidParams,
				"The server does not speak MCP "+t.opts.Mode+", the only revision that it is to be spoken to with", nil))
		}
	}
	answer, err := t.ask(ctx, f)
	defer answer.Release()
	if refusal(answer, err) && t.opts.Mode == ModeAuto {
		if sign := read(f.Method, answer, err); sign == saysModern || sign == leavesDoubt {
			taken, probeErr := t.serveLegacy(ctx, f)
			if taken {
				return probeErr
			}
			if errors.Is(probeErr, errNoCommonVersion) {
				return probeErr
			}
			t.opts.Logger.Debug("initialize was refused, and not because of its era", "reason", probeErr)
		}
	}
	return t.pass(ctx, answer, err)
}

type turnKey struct{}

// turn allows one change of eras in the course of a message. A remote that goes
// to and fro gets no more.
func turn(ctx context.Context) (context.Context, bool) {
	if ctx.Value(turnKey{}) != nil {
		return ctx, false
	}
	return context.WithValue(ctx, turnKey{}, true), true
}

func refusal(answer wire.Frame, err error) bool { return err != nil || answer.Failed }

// pass hands on the outcome of ask as Exchange would have.
func (t *Translator) pass(ctx context.Context, answer wire.Frame, err error) error {
	if answer.Kind != wire.Response {
		return err
	}
	return t.opts.Deliver(ctx, answer)
}

// serveLegacy answers initialize for a remote that turns out to be modern.
// taken: the request has been answered, or err is its outcome. Otherwise the
// remote is not modern, or err says why that can't be known.
func (t *Translator) serveLegacy(ctx context.Context, f wire.Frame) (taken bool, err error) {
	era, discovered, err := t.probe(ctx, t.identityOf(f))
	if err != nil {
		return false, err
	}
	if era != Modern {
		t.found(era)
		return false, nil
	}
	t.found(Modern)
	l := newLegacyClient(t, f, discovered)
	t.useLegacy(l)
	return true, t.opts.Deliver(ctx, l.initializeResult(f, discovered))
}

// mirrorLegacy passes a legacy client's message on. Where the remote has left
// the client's era behind, translation begins and the message is sent again: it
// was refused, so it has done nothing.
func (t *Translator) mirrorLegacy(ctx context.Context, f wire.Frame) error {
	err := t.down().Exchange(ctx, f)
	if err == nil || t.opts.Mode != ModeAuto {
		return err
	}
	if read(f.Method, wire.Frame{}, err) != saysModern && !errors.Is(err, wire.ErrSessionLost) {
		return err
	}
	who := t.identityOf(*t.greeted())
	era, discovered, probeErr := t.probe(ctx, who)
	if probeErr != nil || era != Modern {
		return err
	}
	t.opts.Logger.Info("the server speaks a newer protocol era than before; translating from here on")
	t.found(Modern)
	l, _ := t.translating()
	if l == nil {
		l = newLegacyClient(t, *t.greeted(), discovered)
		t.useLegacy(l)
	}
	return l.exchange(ctx, f)
}

// exchangeModern passes a modern client's message on, or translates it.
func (t *Translator) exchangeModern(ctx context.Context, f wire.Frame) error {
	if f.Kind != wire.Request {
		if t.era() == Legacy {
			return nil // 2025-11-25 has no use for what 2026-07-28 notifies
		}
		return t.down().Exchange(ctx, f)
	}
	era := t.era()
	if era == Unknown && t.opts.Process && f.Method != "server/discover" {
		era = t.settle(ctx, f)
	}
	switch era {
	case Legacy:
		return t.translateModern(ctx, f)
	case Unknown:
		return t.tryModern(ctx, f)
	}
	return t.mirrorModern(ctx, f)
}

// settle finds out what a process speaks before it gets a request that does
// something: one of the legacy era may take that without the session that it
// needs for asking the client back, or say nothing at all (MCP 2026-07-28
// basic/transports/stdio, Backward Compatibility).
func (t *Translator) settle(ctx context.Context, f wire.Frame) Era {
	select {
	case <-t.settling:
	case <-ctx.Done():
		return Unknown
	}
	defer func() { t.settling <- struct{}{} }()
	if era := t.era(); era != Unknown {
		return era // found while this one waited
	}
	era, _, err := t.probe(ctx, t.identityIn(f))
	switch {
	case err != nil:
		return Unknown
	case era == Modern:
		era = Dual // it has not refused initialize
	}
	if era != Unknown {
		t.found(era)
	}
	return era
}

// tryModern sends a request to a remote of which nothing is known.
func (t *Translator) tryModern(ctx context.Context, f wire.Frame) error {
	send := ctx
	if t.opts.Process && f.Method == "server/discover" {
		var cancel context.CancelFunc
		send, cancel = context.WithTimeoutCause(ctx, t.opts.Limits.Probe, errProbeSilent)
		defer cancel()
	}
	answer, err := t.askModern(send, f)
	defer func() { answer.Release() }()
	if err != nil && send.Err() != nil {
		err = context.Cause(send)
	}
	if t.opts.Mode != ModeAuto {
		return t.passModern(ctx, f, answer, err)
	}
	sign := read(f.Method, answer, err)
	if sign == saysLegacy && !isObject(wire.Lookup(f.Raw, "params", "_meta", metaCapabilities)) {
		sign = leavesDoubt // the refusal may be about what the request lacks
	}
	if err != nil && t.opts.Process && ctx.Err() == nil && processRefused(err) {
		if err := t.revive(err); err != nil {
			return err
		}
		sign = saysLegacy
	}
	if sign == leavesDoubt {
		era, _, probeErr := t.probe(ctx, t.identityIn(f))
		switch {
		case era == Legacy && probeErr == nil:
			sign = saysLegacy
		case era == Modern:
			sign = saysModern
		}
	}
	switch sign {
	case saysLegacy:
		t.found(Legacy)
		return t.translateModern(ctx, f)
	case saysModern:
		if t.era() != Modern {
			t.found(Dual)
		}
	}
	return t.passModern(ctx, f, answer, err)
}

// mirrorModern passes a request on to a remote that is known to take it.
func (t *Translator) mirrorModern(ctx context.Context, f wire.Frame) error {
	if f.Method == "tools/list" || f.Method == "server/discover" {
		return t.tryModern(ctx, f)
	}
	err := t.down().Exchange(ctx, f)
	if err == nil {
		return nil
	}
	if mismatched(f, err) {
		answer, err := t.refreshAndRetry(ctx, f)
		defer answer.Release()
		return t.passModern(ctx, f, answer, err)
	}
	if sign := read(f.Method, wire.Frame{}, err); t.opts.Mode == ModeAuto && (sign == leavesDoubt || sign == saysLegacy) && !plainError(err) {
		if era, _, probeErr := t.probe(ctx, t.identityIn(f)); era == Legacy && probeErr == nil {
			t.opts.Logger.Info("the server speaks an older protocol era than before; translating from here on")
			t.found(Legacy)
			return t.translateModern(ctx, f)
		}
	}
	return err
}

// plainError reports an error that modern servers answer ordinary requests
// with: an unknown method, or parameters that are at fault.
func plainError(err error) bool {
	var status *wire.StatusError
	if !errors.As(err, &status) {
		return false
	}
	code := errorCode(status.Answer)
	return code == wire.CodeMethodNotFound || code == wire.CodeInvalidParams
}

// passModern hands on the answer to a modern client's request.
func (t *Translator) passModern(ctx context.Context, f, answer wire.Frame, err error) error {
	if answer.Kind != wire.Response {
		return err
	}
	if f.Method == "tools/list" && !answer.Failed {
		s := newSplice(answer.Raw)
		if result := s.in("result"); result != nil {
			t.tools.filter(result, t.opts.Logger, nil)
		}
		if s.changed() {
			answer = s.frame(answer) // owns its bytes; the caller releases the old ones
		}
	}
	if answer.ID.Key() != f.ID.Key() {
		answer = answer.WithID(f.ID)
	}
	return t.opts.Deliver(ctx, answer)
}

// identityIn reads what a modern request says of its client.
func (t *Translator) identityIn(f wire.Frame) identity {
	who := t.ownIdentity()
	meta := wire.Lookup(f.Raw, "params", "_meta")
	if info := wire.Lookup(meta, metaClientInfo); isObject(info) {
		who.info = info
	}
	if c := wire.Lookup(meta, metaCapabilities); isObject(c) {
		who.capabilities = c
	}
	return who
}

// translateModern serves a modern client's request before a legacy remote.
func (t *Translator) translateModern(ctx context.Context, f wire.Frame) error {
	if f.Method == "server/discover" && !t.opts.AnswerDiscover {
		return t.opts.Deliver(ctx, wire.NewError(f.ID, wire.CodeMethodNotFound,
			"Method not found: the server speaks an older protocol revision; open a session with initialize", nil))
	}
	t.mu.Lock()
	if t.modern == nil {
		t.modern = newModernClient(t)
	}
	m := t.modern
	t.mu.Unlock()
	return m.exchange(ctx, f)
}
