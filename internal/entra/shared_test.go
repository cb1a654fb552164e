package entra

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func notUsable(context.Context) bool { return false }

func prompt(code string) SharedPrompt {
	return SharedPrompt{UserCode: code, VerificationURL: "https://login.example/device", ExpiresOn: time.Now().Add(time.Minute)}
}

// prompts collects what a person is shown.
type prompts struct {
	mu   sync.Mutex
	all  []SharedPrompt
	next chan SharedPrompt
}

func newPrompts() *prompts { return &prompts{next: make(chan SharedPrompt, 100)} }

func (p *prompts) show(s SharedPrompt) {
	p.mu.Lock()
	p.all = append(p.all, s)
	p.mu.Unlock()
	p.next <- s
}

func (p *prompts) await(t *testing.T) SharedPrompt {
	t.Helper()
	select {
	case s := <-p.next:
		return s
	case <-time.After(20 * time.Second):
		t.Fatal("no prompt was shown")
		return SharedPrompt{}
	}
}

// Whoever comes together signs in together: one leads, all show the same code
// and learn the same outcome.
func TestRow01SharedByAllWhoWait(t *testing.T) {
	for _, outcome := range []error{nil, errors.New("AADSTS65004: declined")} {
		t.Run(fmt.Sprint(outcome), func(t *testing.T) {
			dir := t.TempDir()
			var leads atomic.Int64
			release := make(chan struct{})
			lead := func(_ context.Context, show func(SharedPrompt)) error {
				leads.Add(1)
				show(prompt("ABC"))
				<-release
				return outcome
			}
			const n = 10
			results := make(chan error, n)
			var shown []*prompts
			for range n {
				p := newPrompts()
				shown = append(shown, p)
				s := NewShared(dir, nil, "authority", "client")
				go func() { results <- s.Do(t.Context(), notUsable, lead, p.show) }()
			}
			for _, p := range shown {
				if got := p.await(t); got.UserCode != "ABC" || got.Note != "" {
					t.Errorf("shown %+v", got)
				}
			}
			close(release)
			for range n {
				err := <-results
				if outcome == nil && err != nil || outcome != nil && !strings.Contains(err.Error(), "AADSTS65004") {
					t.Errorf("outcome %v", err)
				}
			}
			if leads.Load() != 1 {
				t.Errorf("%d processes led", leads.Load())
			}
		})
	}
}

// The leader's end hands the lead on, and the person is told that the code is
// another one.
func TestLeaderGoesAway(t *testing.T) {
	dir := t.TempDir()
	s := NewShared(dir, nil, "k")
	first, end := context.WithCancel(t.Context())
	leaderShown, followerShown := newPrompts(), newPrompts()
	leader := make(chan error, 1)
	go func() {
		leader <- s.Do(first, notUsable, func(ctx context.Context, show func(SharedPrompt)) error {
			show(prompt("OLD"))
			<-ctx.Done()
			return ctx.Err()
		}, leaderShown.show)
	}()
	leaderShown.await(t)
	follower := make(chan error, 1)
	go func() {
		follower <- NewShared(dir, nil, "k").Do(t.Context(), notUsable, func(_ context.Context, show func(SharedPrompt)) error {
			show(prompt("NEW"))
			return nil
		}, followerShown.show)
	}()
	if got := followerShown.await(t); got.UserCode != "OLD" {
		t.Errorf("shown %+v", got)
	}
	end()
	if err := <-leader; !errors.Is(err, context.Canceled) {
		t.Errorf("the leader ended with %v", err)
	}
	if got := followerShown.await(t); got.UserCode != "NEW" || got.Note != takeoverNote {
		t.Errorf("shown %+v", got)
	}
	if err := <-follower; err != nil {
		t.Error(err)
	}
}

// What is left of earlier sign-ins decides nothing.
func TestStaleSharedState(t *testing.T) {
	expired := prompt("GONE")
	expired.ExpiresOn = time.Now().Add(-time.Minute)
	live := prompt("DEAD")
	for name, state := range map[string]sharedState{
		"pending, its process gone": {Attempt: "a", Phase: phasePending, Prompt: &live},
		"expired":                   {Attempt: "a", Phase: phasePending, Prompt: &expired},
		"done":                      {Attempt: "a", Phase: phaseDone},
		"failed":                    {Attempt: "a", Phase: phaseFailed, Error: "old"},
		"abandoned":                 {Attempt: "a", Phase: phaseAbandoned},
		"nothing":                   {},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewShared(t.TempDir(), nil, "k")
			if err := s.file.write(state); err != nil {
				t.Fatal(err)
			}
			shown := newPrompts()
			led := false
			err := s.Do(t.Context(), notUsable, func(_ context.Context, show func(SharedPrompt)) error {
				led = true
				show(prompt("NEW"))
				return nil
			}, shown.show)
			if err != nil || !led || len(shown.all) != 1 || shown.all[0].UserCode != "NEW" || shown.all[0].Note != "" {
				t.Errorf("%v, led %v, shown %+v", err, led, shown.all)
			}
		})
	}
}

// Nobody is asked where a token has become usable meanwhile.
func TestSharedIsNeedless(t *testing.T) {
	s := NewShared(t.TempDir(), nil, "k")
	err := s.Do(t.Context(), func(context.Context) bool { return true }, func(context.Context, func(SharedPrompt)) error {
		t.Error("led")
		return nil
	}, func(SharedPrompt) { t.Error("shown") })
	if err != nil {
		t.Error(err)
	}
}

// Sign-ins that differ in anything don't wait for each other, and the files are
// the person's own and hold no secret.
func TestSharedFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	secret := "eyJhbGciOiJub25lIn0." + strings.Repeat("x", 100)
	one, other := NewShared(dir, nil, "authority", "client"), NewShared(dir, nil, "authority", "other")
	err := one.Do(t.Context(), notUsable, func(ctx context.Context, show func(SharedPrompt)) error {
		show(prompt("ABC"))
		return other.Do(ctx, notUsable, func(context.Context, func(SharedPrompt)) error { return errors.New(secret) }, func(SharedPrompt) {})
	}, func(SharedPrompt) {})
	if err == nil {
		t.Error("the failure was lost")
	}
	files, err := filepath.Glob(filepath.Join(dir, "signin-*"))
	if err != nil || len(files) != 4 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if os.PathSeparator == '/' && info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v", f, info.Mode())
		}
		if data, _ := os.ReadFile(f); strings.Contains(string(data), "eyJ") {
			t.Errorf("%s holds %s", f, data)
		}
	}
}

// Whatever stands in the file, nothing is shown that is not a code and a page.
func FuzzSharedState(f *testing.F) {
	f.Add([]byte(`{"attempt":"a","phase":"pending","prompt":{"user_code":"ABC","verification_url":"https://x/","expires_on":"2999-01-01T00:00:00Z"}}`))
	f.Add([]byte(`{"attempt":"","phase":"pending","prompt":{"user_code":"ABC","verification_url":"javascript:","expires_on":"2999-01-01T00:00:00Z"}}`))
	f.Add([]byte(`{"phase":"failed","error":"x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		w := waiting{now: time.Now, show: func(p SharedPrompt) {
			if !p.Browser && (!userCode.MatchString(p.UserCode) || !strings.HasPrefix(p.VerificationURL, "https://")) {
				t.Errorf("shown %+v", p)
			}
		}}
		for range 3 {
			if over, _ := w.look(parseSharedState(data)); over {
				return
			}
		}
	})
}
