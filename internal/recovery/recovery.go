package recovery

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Options configure a [Remote].
type Options struct {
	// Deliver takes what comes from the server. Required.
	Deliver wire.Deliver
	// Patience bounds how long a message is tried again that did not reach the
	// server or was turned away for the time being, and how long a session is
	// tried to be established again. Default 20 s.
	Patience time.Duration
	// FirstPatience is the patience with an address that refuses connections while
	// nothing has ever answered there: a client that starts before a wrong address
	// is to learn that while somebody is still looking. A server that is just being
	// restarted is back by then. Default: a third of Patience.
	FirstPatience time.Duration
	// Memory bounds in bytes what is remembered of subscriptions, for a session
	// that has to be established again. Default 4 MiB.
	Memory int
	// Final reports failures that a repetition won't cure, such as a credential
	// that can't be had. nil: there are none but those that say so themselves
	// with a method Lasting() bool.
	Final func(error) bool
	// Deaf reports failures to listen after which somebody has to act before
	// another attempt makes sense: Listen returns them. nil: there are none.
	Deaf   func(error) bool
	Logger *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	if o.Deliver == nil {
		return o, errors.New("recovery: Options.Deliver is missing")
	}
	if o.Patience <= 0 {
		o.Patience = 20 * time.Second
	}
	if o.FirstPatience <= 0 {
		o.FirstPatience = o.Patience / 3
	}
	if o.Memory <= 0 {
		o.Memory = 4 << 20
	}
	none := func(error) bool { return false }
	if o.Final == nil {
		o.Final = none
	}
	if o.Deaf == nil {
		o.Deaf = none
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Remote is a [wire.Remote] that recovers. Its methods may be called
// concurrently.
type Remote struct {
	opts   Options
	remote wire.Remote
	log    *slog.Logger

	session  sessionMemory
	tools    toolMemory
	progress progressMemory
	private  privateCalls
	held     heldAnswers

	life  context.Context // under which sessions are established again
	stop  context.CancelFunc
	tasks sync.WaitGroup
	wake  chan struct{}

	reached atomic.Bool // there is something at the address

	mu         sync.Mutex
	ended      bool
	generation int          // of the session; counts restorations
	restoring  *restoration // the one under way
	recent     []time.Time  // of restorations, for the brake
}

// New returns a Remote before the one that dial makes, which must hand what
// comes in to the function it gets. Nothing is sent yet.
func New(opts Options, dial func(wire.Deliver) (wire.Remote, error)) (*Remote, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Remote{opts: opts, log: opts.Logger, wake: make(chan struct{}, 1)}
	r.session.limit = opts.Memory
	r.life, r.stop = context.WithCancel(context.Background())
	if r.remote, err = dial(r.fromRemote); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

// Exchange implements [wire.Remote].
func (r *Remote) Exchange(ctx context.Context, f wire.Frame) error {
	r.session.sending(f)
	attempt := newAttempts(r.opts)
	if f.Kind == wire.Request {
		defer r.progress.done(f)
	}
	for {
		generation, err := r.settled(ctx, f)
		if err != nil {
			return err
		}
		if f.Method == "tools/list" {
			r.tools.expect(f.ID)
		}
		answer, err := r.once(ctx, f)
		if err == nil && answer == nil {
			r.answered()
			r.session.accepted(f)
			return nil
		}
		if answer != nil {
			err = errUndelivered
		}
		if ctx.Err() != nil {
			return err
		}
		switch {
		case !errors.Is(err, wire.ErrNotSent):
			r.answered()
		case refused(err) && !r.reached.Load():
			attempt.hurry(r.opts.FirstPatience)
		}
		again := r.cure(ctx, attempt, generation, f, err)
		switch {
		case again == nil:
			r.progress.repeats(f)
		case answer != nil && ctx.Err() == nil:
			return r.opts.Deliver(ctx, *answer) // the server's own words
		case errors.Is(again, errTooManyRestorations):
			return errors.Join(again, err)
		default:
			return err
		}
	}
}

// once exchanges f. answer is the error that says that f was not delivered, nil
// where none came.
func (r *Remote) once(ctx context.Context, f wire.Frame) (answer *wire.Frame, err error) {
	if f.Kind != wire.Request {
		return nil, r.remote.Exchange(ctx, f)
	}
	r.held.expect(f.ID)
	err = r.remote.Exchange(ctx, f)
	return r.held.take(f.ID), err
}

// answered notes that there is something at the address.
func (r *Remote) answered() {
	if !r.reached.Load() { // storing would keep processors from sharing it
		r.reached.Store(true)
	}
}

// cure returns nil where f, which failed with err, may be sent again, after
// whatever has to come before that.
func (r *Remote) cure(ctx context.Context, attempt *attempts, generation int, f wire.Frame, err error) error {
	if sessionLost(err) && r.session.established(f) && attempt.mayRestore(err) {
		if again := r.restore(ctx, generation); again != nil {
			r.log.Debug("not repeated", "method", f.Method, "reason", again)
			return again
		}
		return attempt.next(ctx, 0)
	}
	verdict, after := attempt.judge(f, err, r.tools.repeatable)
	if !verdict {
		return err
	}
	r.log.Info("repeating a message", "method", f.Method, "reason", err)
	again := attempt.next(ctx, after)
	if again != nil {
		r.log.Debug("not repeated", "method", f.Method, "reason", again)
	}
	return again
}

// fromRemote passes messages on, save for answers to requests of our own and
// those that are about to be asked for again.
func (r *Remote) fromRemote(ctx context.Context, f wire.Frame) error {
	if f.Kind == wire.Response {
		if r.private.answered(f) || r.held.hold(f) {
			return nil
		}
		r.tools.learn(f)
	} else if f.Method == "notifications/progress" && !r.progress.advances(f) {
		return nil // the client has seen as much before the request was repeated
	}
	return r.opts.Deliver(ctx, f)
}

// Listen implements [wire.Remote]: it keeps the server's stream open until ctx
// ends or the server has none to offer.
func (r *Remote) Listen(ctx context.Context) error {
	pause := time.Second
	for {
		generation := r.current()
		started := time.Now()
		err := r.listenOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, wire.ErrNoListen), r.opts.Deaf(err):
			return err
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
		if err := pauseFor(ctx, pause/2+jitter(pause/2), r.wake); err != nil {
			return err
		}
		pause = min(2*pause, 30*time.Second)
	}
}

// listenOnce listens until the stream ends or the machine wakes up: a stream
// from before a sleep is rarely alive.
func (r *Remote) listenOnce(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		select {
		case <-r.wake:
			cancel()
		case <-ctx.Done():
		}
	})
	return r.remote.Listen(ctx)
}

// Woke is to be called when the machine seems to have slept: the server's
// stream is opened anew.
func (r *Remote) Woke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// End implements [wire.Remote].
func (r *Remote) End(ctx context.Context) error {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.stop()
	r.tasks.Wait()
	return r.remote.End(ctx)
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

var _ wire.Remote = (*Remote)(nil)
