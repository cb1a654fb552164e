package gateway

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/mcpctl/mcpctl/internal/era"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// use makes an exchange over the member's connection; over a new one where the
// process behind the old one has made room for others, and so got nothing of it.
func (m *member) use(ctx context.Context, exchange func(wire.Remote) error) error {
	for again := false; ; again = true {
		remote, number, err := m.session(ctx)
		if err != nil {
			return err
		}
		if err = exchange(remote); err == nil {
			return nil
		}
		m.failed(number, err)
		if again || !errors.Is(err, errMadeRoom) {
			return err
		}
	}
}

// failed drops a connection that an exchange has found to be of no use any more.
func (m *member) failed(number int, err error) {
	if !lost(err) {
		return
	}
	a := m.agg
	a.mu.Lock()
	if m.number != number || m.remote == nil {
		a.mu.Unlock()
		return
	}
	m.fault, m.retry = err, time.Time{} // at once: it may have been restarted
	remote := m.retireLocked()
	a.mu.Unlock()
	a.log.Warn("an upstream was lost", "upstream", m.name, "reason", err)
	m.end(remote)
}

// end ends a connection, apart from whoever found it broken.
func (m *member) end(remote wire.Remote) {
	end := func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
		defer cancel()
		if err := remote.End(ctx); err != nil {
			m.agg.log.Debug("ending an upstream", "upstream", m.name, "reason", err)
		}
	}
	if !m.agg.background(end) {
		end(m.agg.life)
	}
}

// lost reports errors after which a connection is of no use.
func lost(err error) bool {
	for _, end := range []error{era.ErrGone, wire.ErrSessionLost, wire.ErrStreamEnded, wire.ErrClosed, io.EOF, io.ErrClosedPipe, errMadeRoom, errRefusedStart} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// keepListening keeps the upstream's own stream open, and opens its session anew
// where that was lost, until ctx ends.
func (m *member) keepListening(ctx context.Context) {
	life := m.agg.life
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(life, cancel)()
	for failures := 0; ctx.Err() == nil; {
		m.agg.mu.Lock()
		remote, number, turned, asleep := m.remote, m.number, m.turned, errors.Is(m.fault, errMadeRoom)
		m.agg.mu.Unlock()
		var err error
		switch {
		case remote != nil:
			err = remote.Listen(ctx)
			m.failed(number, err)
		case !asleep:
			_, _, err = m.session(ctx)
		}
		switch {
		case remote == nil && asleep: // to listen would take the room of others: a request opens it
			select {
			case <-turned:
			case <-ctx.Done():
			}
		case remote != nil && (err == nil || errors.Is(err, wire.ErrNoListen)): // there is nothing to hear
			failures = 0
			select {
			case <-turned:
			case <-ctx.Done():
			}
		case err != nil && ctx.Err() == nil:
			m.agg.log.Debug("an upstream's stream is not there", "upstream", m.name, "reason", err)
			failures++
			pause(ctx, life, min(firstRetry<<min(failures-1, 10), longestRetry))
		default:
			failures = 0
		}
	}
}

func pause(ctx, life context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-life.Done():
	}
}
