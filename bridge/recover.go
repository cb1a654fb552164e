package bridge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// recovery keeps a session with the remote alive through what happens to
// servers and networks. It stands between the client's messages and the
// transport and implements wire.Remote:
//
//   - a session that the server has forgotten is established again, with its
//     subscriptions and log level, and what was rejected is sent again;
//   - what did not reach the server, or was rejected for the time being, is
//     repeated while patience lasts;
//   - what may have been done is repeated only where doing it twice is the same
//     as doing it once;
//   - the stream of the server's own messages is opened again and again.
type recovery struct {
	remote   wire.Remote
	deliver  wire.Deliver
	patience time.Duration
	log      *slog.Logger

	session sessionMemory
	tools   toolMemory
	private privateCalls

	mu         sync.Mutex
	generation int           // of the session; counts restorations
	restoring  chan struct{} // closed when the restoration under way has ended
	restoreErr error
	recent     []time.Time // of restorations, for the brake
	wake       chan struct{}
}

// Brakes: a server that loses its session this often is not worth more.
const (
	maxRestorations   = 8
	restorationWindow = 30 * time.Second
)

var errTooManyRestorations = errors.New("the server keeps losing the session")

func newRecovery(opts Options, deliver wire.Deliver, dial func(wire.Deliver) (wire.Remote, error)) (*recovery, error) {
	r := &recovery{deliver: deliver, patience: opts.Patience, log: opts.Logger, wake: make(chan struct{}, 1)}
	var err error
	r.remote, err = dial(r.fromRemote)
	return r, err
}

// Exchange implements wire.Remote.
func (r *recovery) Exchange(ctx context.Context, f wire.Frame) error {
	r.session.sending(f)
	attempt := newAttempts(r.patience)
	if f.Kind == wire.Request {
		ctx = attempt.follow(ctx)
	}
	for {
		generation, err := r.settled(ctx, f)
		if err != nil {
			return err
		}
		if f.Method == "tools/list" {
			r.tools.expect(f.ID)
		}
		err = r.remote.Exchange(ctx, f)
		if err == nil {
			r.session.accepted(f)
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		if f.Method == "initialize" && refused(err) {
			attempt.hurry(r.patience / 3)
		}
		var again error
		switch verdict, after := attempt.judge(f, err, r.tools.repeatable); {
		case sessionLost(err) && r.session.established(f):
			again = r.restore(ctx, generation)
			if again == nil {
				again = attempt.next(ctx, 0)
			}
		case verdict:
			r.log.Info("repeating a message", "method", f.Method, "reason", err)
			again = attempt.next(ctx, after)
		default:
			return err
		}
		if again != nil {
			r.log.Debug("not repeated", "method", f.Method, "reason", again)
			if errors.Is(again, errTooManyRestorations) {
				return errors.Join(again, err)
			}
			return err
		}
	}
}

// fromRemote passes messages on, save for answers to the recovery's own
// requests.
func (r *recovery) fromRemote(ctx context.Context, f wire.Frame) error {
	if f.Kind == wire.Response {
		if r.private.answered(f) {
			return nil
		}
		r.tools.learn(f)
	} else if f.Method == "notifications/progress" && !advances(ctx, f) {
		return nil // the client has seen as much before the request was repeated
	}
	return r.deliver(ctx, f)
}

// Listen implements wire.Remote: it keeps the server's stream open until ctx
// ends or the server has none to offer.
func (r *recovery) Listen(ctx context.Context) error {
	pause := time.Second
	for {
		generation := r.current()
		started := time.Now()
		err := r.listenOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, wire.ErrNoListen), errors.Is(err, ErrSignInNeeded):
			return err // a person has to come first
		case sessionLost(err) || errors.Is(err, wire.ErrStreamEnded):
			if restoreErr := r.restore(ctx, generation); restoreErr == nil {
				pause = time.Second
				continue
			}
		}
		if time.Since(started) > time.Minute {
			pause = time.Second
		}
		r.log.Info("the server's stream is down", "reason", err, "again_in", pause.String())
		if err := pauseFor(ctx, pause, r.wake); err != nil {
			return err
		}
		pause = min(2*pause, 30*time.Second)
	}
}

// listenOnce listens until the stream ends or the machine wakes up: a stream
// from before a sleep is rarely alive.
func (r *recovery) listenOnce(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-r.wake:
			cancel()
		case <-done:
		}
	}()
	return r.remote.Listen(ctx)
}

// woke is called when the machine seems to have slept.
func (r *recovery) woke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// End implements wire.Remote.
func (r *recovery) End(ctx context.Context) error { return r.remote.End(ctx) }

// settled returns the generation of the session that f is for. While a session
// is being established again it waits for the outcome: until then there is none.
func (r *recovery) settled(ctx context.Context, f wire.Frame) (int, error) {
	for {
		r.mu.Lock()
		generation, under := r.generation, r.restoring
		r.mu.Unlock()
		if under == nil || f.Method == "initialize" {
			return generation, nil
		}
		select {
		case <-under:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func (r *recovery) current() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.generation
}

// restore establishes the session again, unless that has been done since the
// given generation. Whoever comes while it is under way waits for its outcome.
func (r *recovery) restore(ctx context.Context, generation int) error {
	r.mu.Lock()
	if r.generation != generation {
		r.mu.Unlock()
		return nil
	}
	if under := r.restoring; under != nil {
		r.mu.Unlock()
		select {
		case <-under:
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.restoreErr
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	now := time.Now()
	for len(r.recent) > 0 && now.Sub(r.recent[0]) > restorationWindow {
		r.recent = r.recent[1:]
	}
	if len(r.recent) >= maxRestorations {
		r.mu.Unlock()
		return errTooManyRestorations
	}
	r.recent = append(r.recent, now)
	done := make(chan struct{})
	r.restoring = done
	r.mu.Unlock()

	r.log.Warn("the server has lost the session; establishing it again")
	err := r.handshake(ctx)
	if err != nil {
		r.log.Warn("the session could not be established again", "reason", err)
	}
	r.mu.Lock()
	r.restoring, r.restoreErr = nil, err
	if err == nil {
		r.generation++
	}
	r.mu.Unlock()
	close(done)
	return err
}

func pauseFor(ctx context.Context, d time.Duration, early <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-early:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
