package recovery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// restoration is a session being established again.
type restoration struct {
	done chan struct{} // closed at its end
	err  error         // once done
}

// Brakes: a server that loses its session this often is not worth more.
const (
	maxRestorations   = 8
	restorationWindow = 30 * time.Second
	// restorationTime bounds one restoration: a server that takes the messages
	// and answers none must not hold up everything for ever.
	restorationTime = 2 * time.Minute
)

var errTooManyRestorations = errors.New("the server keeps losing the session")

// settled returns the generation of the session that f is for. While a session
// is being established again it waits for the outcome: until then there is none.
func (r *Remote) settled(ctx context.Context, f wire.Frame) (int, error) {
	for {
		r.mu.Lock()
		generation, under := r.generation, r.restoring
		r.mu.Unlock()
		if under == nil || f.Method == "initialize" {
			return generation, nil
		}
		select {
		case <-under.done:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func (r *Remote) current() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.generation
}

// restore establishes the session again, unless that has been done since the
// given generation. Whoever comes while it is under way waits for its outcome.
// It does not end with the message that needed it first, but is on behalf of
// whoever sent that: it has the values of its context.
func (r *Remote) restore(ctx context.Context, generation int) error {
	r.mu.Lock()
	if r.generation != generation {
		r.mu.Unlock()
		return nil
	}
	under := r.restoring
	if under == nil {
		if err := r.brakeLocked(); err != nil {
			r.mu.Unlock()
			return err
		}
		under = &restoration{done: make(chan struct{})}
		r.restoring = under
		r.tasks.Go(func() { r.carryOut(context.WithoutCancel(ctx), under) })
	}
	r.mu.Unlock()
	select {
	case <-under.done:
		return under.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// brakeLocked counts a restoration, or says why there will be none.
func (r *Remote) brakeLocked() error {
	if r.ended {
		return wire.ErrStopping
	}
	now := time.Now()
	for len(r.recent) > 0 && now.Sub(r.recent[0]) > restorationWindow {
		r.recent = r.recent[1:]
	}
	if len(r.recent) >= maxRestorations {
		return errTooManyRestorations
	}
	r.recent = append(r.recent, now)
	return nil
}

func (r *Remote) carryOut(ctx context.Context, under *restoration) {
	ctx, cancel := context.WithTimeout(ctx, restorationTime)
	defer cancel()
	defer context.AfterFunc(r.life, cancel)()
	r.log.Warn("the server has lost the session; establishing it again")
	err := r.handshake(ctx)
	if err != nil {
		r.log.Warn("the session could not be established again", "reason", err)
	}
	r.mu.Lock()
	r.restoring, under.err = nil, err
	if err == nil {
		r.generation++
	}
	r.mu.Unlock()
	close(under.done)
}

// ask sends a request of our own and returns its answer.
func (r *Remote) ask(ctx context.Context, f wire.Frame) (wire.Frame, error) {
	f = r.private.add(f)
	err := r.remote.Exchange(ctx, f)
	answer := r.private.take(f.ID)
	switch {
	case err != nil:
		return wire.Frame{}, err
	case answer == nil:
		return wire.Frame{}, wire.ErrNoAnswer
	case answer.Failed:
		return *answer, fmt.Errorf("the server answered %s with the error %.200q", f.Method, wire.LookupString(answer.Raw, "error", "message"))
	}
	return *answer, nil
}

// handshake replays the client's handshake, log level and subscriptions, and
// tells the client that lists may have changed. It is tried while patience
// lasts.
func (r *Remote) handshake(ctx context.Context) error {
	initialize, then, ok := r.session.replay()
	if !ok {
		return errors.New("the client has not sent initialize")
	}
	attempt := newAttempts(r.opts)
	always := func(wire.Frame) bool { return true }
	for {
		answer, err := r.ask(ctx, initialize)
		if err == nil {
			return r.resume(ctx, answer, then)
		}
		again, after := attempt.judge(initialize, err, always)
		if !again || attempt.next(ctx, after) != nil {
			return err
		}
	}
}

func (r *Remote) resume(ctx context.Context, answer wire.Frame, then []wire.Frame) error {
	for _, f := range then {
		var err error
		if f.Kind == wire.Request {
			_, err = r.ask(ctx, f)
		} else {
			err = r.remote.Exchange(ctx, f)
		}
		if err != nil && f.Method == "notifications/initialized" {
			return err
		}
		if err != nil {
			r.log.Warn("the new session lacks something of the old", "method", f.Method, "reason", err)
		}
		if ctx.Err() != nil {
			break // a part is better than nothing
		}
	}
	for _, list := range []string{"tools", "resources", "prompts"} {
		if wire.Lookup(answer.Raw, "result", "capabilities", list) == nil {
			continue
		}
		note := wire.MustParse(`{"jsonrpc":"2.0","method":"notifications/` + list + `/list_changed"}`)
		if err := r.opts.Deliver(ctx, note); err != nil {
			r.log.Warn("the client could not be told that a list may have changed", "list", list, "reason", err)
		}
	}
	return nil
}
