package bridge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

// flow is one sign-in by a person, from its start to its end.
type flow struct {
	id      string // random
	cancel  context.CancelCauseFunc
	over    <-chan struct{} // closed when it has been given up, or has run out
	consent chan struct{}   // closed when the person or the model has asked for it
	agree   sync.Once
	done    chan struct{}

	// Guarded by signIn.mu.
	prompt   Prompt
	number   int           // of prompts so far
	err      error         // set before done is closed
	changed  chan struct{} // closed and replaced when the prompt changes
	told     string        // the prompt last given to the model
	reported bool          // the model knows how it ended
	asking   bool          // the client is being asked to open the page
	// carried is the prompt that the result of a request has shown last, and when.
	carried   int
	carriedAt time.Time
}

const (
	// flowLimit bounds a sign-in that nobody finishes: longer than codes live.
	flowLimit = 20 * time.Minute
	// No more than maxStarts sign-ins begin within startWindow.
	maxStarts   = 5
	startWindow = 5 * time.Minute
	// promptLimit bounds the wait for a page and code.
	promptLimit = 20 * time.Second
)

var (
	errDeclined = errors.New("the sign-in was declined")
	errElseway  = errors.New("somebody has signed in")
)

// needsPerson reports a failure that a sign-in resolves.
func needsPerson(err error) bool {
	return errors.Is(err, ErrSignInNeeded) || errors.Is(err, ErrConsentNeeded)
}

// pending returns the sign-in under way, nil where there is none.
func (s *signIn) pending() *flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pendingLocked()
}

func (s *signIn) pendingLocked() *flow {
	if s.flow == nil {
		return nil
	}
	select {
	case <-s.flow.done:
		return nil
	default:
		return s.flow
	}
}

// begins starts a sign-in or joins the one under way. It waits for the end of one
// that has been given up: its code is of no use any more.
func (s *signIn) begins(ctx context.Context) (*flow, error) {
	if s.signer == nil {
		return nil, fmt.Errorf("this bridge can't sign anybody in: %w. Run: mcpctl login %s", ErrSignInNeeded, s.url)
	}
	if err := s.signer.Unable(); err != nil {
		return nil, err
	}
	for fl := s.pending(); fl != nil && fl.givenUp(); fl = s.pending() {
		select {
		case <-fl.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if fl := s.pendingLocked(); fl != nil {
		return fl, nil
	}
	if wait, ok := s.starts.allow(maxStarts, startWindow); !ok {
		return nil, fmt.Errorf("%d sign-ins were begun within %d minutes, so mcpctl begins no more for %d seconds. To sign in in a terminal, run: mcpctl login %s",
			maxStarts, int(startWindow.Minutes()), int(math.Ceil(wait.Seconds())), s.url)
	}
	life, stop := context.WithTimeoutCause(s.ctx, flowLimit, fmt.Errorf("nobody finished the sign-in within %d minutes. To try again call the tool %s, or run: mcpctl login %s",
		int(flowLimit.Minutes()), toolName, s.url))
	life, cancel := context.WithCancelCause(life)
	fl := &flow{id: rand.Text(), cancel: cancel, over: life.Done(), consent: make(chan struct{}), done: make(chan struct{}), changed: make(chan struct{})}
	if !s.startLocked(func() { defer stop(); s.run(life, fl) }) {
		stop()
		return nil, context.Canceled
	}
	s.flow = fl
	return fl, nil
}

// run is the sign-in itself.
func (s *signIn) run(ctx context.Context, fl *flow) {
	err := s.signer.SignIn(ctx, fl.consent, func(p Prompt) {
		s.mu.Lock()
		defer s.mu.Unlock()
		fl.prompt = p
		fl.number++
		close(fl.changed)
		fl.changed = make(chan struct{})
	})
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	if errors.Is(err, errElseway) {
		err = nil
	}
	if err == nil {
		s.check() // at once, not with the next look
	}
	if err != nil {
		s.log.Warn("the sign-in was not completed", "reason", err)
	}
	s.mu.Lock()
	if err == nil && s.phase != phaseOpen && s.reason != nil {
		err = fmt.Errorf("signed in, but the server is not connected: %w", s.reason)
	}
	fl.err = err
	s.mu.Unlock()
	fl.cancel(nil)
	close(fl.done)
}

// ready waits until a person can be told what to do, or the sign-in is over.
func (s *signIn) ready(ctx context.Context, fl *flow) (Prompt, bool) {
	late := time.NewTimer(promptLimit)
	defer late.Stop()
	for {
		s.mu.Lock()
		p, has, changed := fl.prompt, fl.number > 0, fl.changed
		s.mu.Unlock()
		if has {
			return p, true
		}
		select {
		case <-changed:
		case <-fl.done:
			return Prompt{}, false
		case <-late.C:
			return Prompt{}, false
		case <-ctx.Done():
			return Prompt{}, false
		}
	}
}

// outcome returns how a sign-in ended.
func (s *signIn) outcome(fl *flow) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fl.err
}

func (fl *flow) givenUp() bool {
	select {
	case <-fl.over:
		return true
	default:
		return false
	}
}

// agreed says that the person, or the model for them, wants this sign-in.
func (fl *flow) agreed() { fl.agree.Do(func() { close(fl.consent) }) }

// ask words a prompt for a person whose client shows the page's address.
func (p Prompt) ask(host string) string {
	text := fmt.Sprintf("To use %s, sign in: open the page and enter the code %s.", host, p.Code)
	if left := time.Until(p.ExpiresOn); left > 0 {
		text += fmt.Sprintf(" The code is valid for %d minutes.", int(left.Minutes()+0.5))
	}
	if p.Note != "" {
		text += " " + p.Note
	}
	return text
}

// say words a prompt for a model that passes it on.
func (p Prompt) say() string {
	text := ""
	if p.Note != "" {
		text = p.Note + " "
	}
	if p.Code == "" {
		return text + "A browser window has opened on the user's machine: sign in there."
	}
	text += fmt.Sprintf("Open %s and enter the code %s.", p.URL, p.Code)
	if left := time.Until(p.ExpiresOn); left > 0 {
		text += fmt.Sprintf(" The code is valid for %d more minutes.", int(left.Minutes()+0.5))
	}
	return text
}
