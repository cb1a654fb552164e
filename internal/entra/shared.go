package entra

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

const (
	// sharedPoll is how often a waiting process looks at the one that leads.
	sharedPoll = 250 * time.Millisecond
	// takeoverNote is what a person is told whose code has become useless.
	takeoverNote = "The program that had shown the previous code has ended; that code is of no use any more."
)

// A SharedPrompt is what a person needs in a sign-in that processes share. It
// holds no secret: the device code itself stays with the process that leads.
type SharedPrompt struct {
	UserCode        string    `json:"user_code,omitempty"`
	VerificationURL string    `json:"verification_url,omitempty"`
	ExpiresOn       time.Time `json:"expires_on"`
	Browser         bool      `json:"browser,omitempty"` // a browser has opened instead
	Note            string    `json:"note,omitempty"`    // why it is so, for the person
}

// A Shared is one sign-in that any number of processes of a person carry out
// together: the first leads, the others show its prompt and wait for its
// outcome. When the leader dies, another one takes over. Safe for concurrent
// use.
type Shared struct {
	lockPath string
	file     stateFile
	log      *slog.Logger
	now      func() time.Time
}

// NewShared returns the sign-in that key names: all that makes two sign-ins the
// same, such as authority, client, account and scopes. Its files are kept in
// dir, of which there is one for all processes of a person. Nothing is created
// yet. A nil logger discards.
func NewShared(dir string, log *slog.Logger, key ...string) *Shared {
	sum := sha256.Sum256([]byte(strings.ToLower(strings.Join(key, "\x00"))))
	base := filepath.Join(dir, "signin-"+hex.EncodeToString(sum[:8]))
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Shared{lockPath: base + ".lock", file: stateFile(base + ".json"), log: log, now: time.Now}
}

// ErrElsewhere is matched by the failure of a sign-in that another process led.
var ErrElsewhere = errors.New("the sign-in failed in another mcpctl process")

// Do takes part in the sign-in until it has succeeded (nil), failed, or ctx
// ends. It calls show, in its own goroutine, for each prompt, whoever leads.
//
// lead is called in the process that leads, and calls its argument for each
// prompt; with it the process goes on leading for as long as lead runs. usable
// reports whether the sign-in has become needless before anybody is asked.
func (s *Shared) Do(ctx context.Context, usable func(context.Context) bool, lead func(context.Context, func(SharedPrompt)) error, show func(SharedPrompt)) error {
	w := waiting{before: s.file.read().Attempt, show: show, now: s.now}
	for {
		lock, leads, err := s.tryLock()
		if err != nil {
			return err
		}
		if leads {
			err := s.turn(ctx, &w, usable, lead)
			if err := lock.Unlock(); err != nil {
				s.log.Warn("giving up the lead of a sign-in failed", "reason", err)
			}
			return err
		}
		if over, err := w.look(s.file.read()); over {
			return err
		}
		if err := sleep(ctx, sharedPoll); err != nil {
			return &Error{Op: opSignIn, Kind: KindCanceled, cause: err}
		}
	}
}

func (s *Shared) tryLock() (*flock.Flock, bool, error) {
	if err := os.MkdirAll(filepath.Dir(s.lockPath), 0o700); err != nil {
		return nil, false, fmt.Errorf("sharing the sign-in: %w", err)
	}
	// A handle of its own each time: one that is locked grants whoever asks.
	lock := flock.New(s.lockPath, flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, false, fmt.Errorf("sharing the sign-in: %w", err)
	}
	return lock, ok, nil
}

// turn is what a process does that has the lock: mostly it leads.
func (s *Shared) turn(ctx context.Context, w *waiting, usable func(context.Context) bool, lead func(context.Context, func(SharedPrompt)) error) error {
	last := s.file.read()
	if over, err := w.look(last); over {
		return err // it came to its end between two looks
	}
	if usable(ctx) {
		return nil
	}
	note := ""
	if w.shown.UserCode != "" {
		note = takeoverNote
	}
	state := sharedState{Attempt: rand.Text(), PID: os.Getpid(), Phase: phaseStarting}
	s.write(state)
	err := lead(ctx, func(p SharedPrompt) {
		if note != "" {
			p.Note = strings.TrimSpace(note + " " + p.Note)
		}
		p.ExpiresOn = p.ExpiresOn.UTC().Truncate(time.Second) // as the others will read it
		state.Phase, state.Prompt = phasePending, &p
		s.write(state)
		w.show(p)
	})
	state.Prompt = nil
	switch {
	case err == nil:
		state.Phase = phaseDone
	case ctx.Err() != nil:
		state.Phase = phaseAbandoned // others go on
	default:
		state.Phase, state.Error = phaseFailed, err.Error()
	}
	s.write(state)
	return err
}

// write tells the others. What can't be told costs them a sign-in of their own,
// and nobody anything else.
func (s *Shared) write(state sharedState) {
	if err := s.file.write(state); err != nil {
		s.log.Warn("other processes can't be told of this sign-in", "reason", err)
	}
}

// waiting is the view of a process that does not lead.
type waiting struct {
	before string // the attempt that was over, or not, when we came
	seen   string // the attempt that we have been waiting for
	same   sharedState
	shown  SharedPrompt
	show   func(SharedPrompt)
	now    func() time.Time
}

// look takes in what the leader says, and reports whether that is the end.
func (w *waiting) look(state sharedState) (over bool, err error) {
	ours := state.Attempt != "" && (state.Attempt == w.seen || state.Attempt != w.before)
	switch state.Phase {
	case phaseDone:
		return ours, nil
	case phaseFailed:
		if ours {
			return true, fmt.Errorf("%w: %s", ErrElsewhere, state.Error)
		}
	case phasePending:
		p := state.Prompt
		if p == nil || !p.valid(w.now()) {
			return false, nil
		}
		w.seen = state.Attempt
		// A new leader has the lock a moment before it has replaced the file of
		// one that died: only what stands there twice is shown.
		settled := w.same.Prompt != nil && w.same.Attempt == state.Attempt && *w.same.Prompt == *p
		w.same = state
		if settled && *p != w.shown {
			w.shown = *p
			w.show(*p)
		}
	}
	return false, nil
}

// valid checks what another process has written before a person sees it.
func (p SharedPrompt) valid(now time.Time) bool {
	if !now.Before(p.ExpiresOn) {
		return false
	}
	return p.Browser || userCode.MatchString(p.UserCode) && strings.HasPrefix(p.VerificationURL, "https://")
}
