package statetest_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/server/state"
	"github.com/mcpctl/mcpctl/server/state/statetest"
)

// Each of these stores breaks one promise, and the contract has to notice in the
// part that is named. A failing test can't be watched from inside its process,
// so it runs in another one.
var broken = []struct {
	name, part string
	open       func(state.Store) state.Store
}{
	{"shows sessions to anybody", "SessionsBelongToTheirOwner", func(s state.Store) state.Store { return &openSessions{Store: s} }},
	{"lets anybody end sessions", "EventsGoWithTheirSession", func(s state.Store) state.Store { return &anybodyDeletes{Store: s} }},
	{"lets anybody replace sessions", "SessionsBelongToTheirOwner", func(s state.Store) state.Store { return anybodyReplaces{s} }},
	{"keeps sessions for ever", "SessionsExpire", func(s state.Store) state.Store { return everlasting{s} }},
	{"does not prolong sessions", "SessionsExpire", func(s state.Store) state.Store { return unprolonged{s} }},
	{"bounds no owner", "OwnersAreBounded", func(s state.Store) state.Store { return unbounded{s} }},
	{"counts sessions, then adds", "OwnersAreBoundedAtOnce", func(s state.Store) state.Store { return &countsFirst{Store: s} }},
	{"mixes up streams", "EventsResume", func(s state.Store) state.Store { return oneStream{s} }},
	{"reports no gap", "EventsAreBounded", func(s state.Store) state.Store { return gapless{s} }},
	{"reports only gaps at the end", "EventsHaveTheirPlace", func(s state.Store) state.Store { return partGapless{s} }},
	{"takes events twice", "EventsHaveTheirPlace", func(s state.Store) state.Store { return twice{s} }},
	{"keeps too many events", "EventsAreBounded", func(s state.Store) state.Store { return keepsMore{s, 2, 1} }},
	{"keeps too many bytes", "EventsAreBoundedInBytes", func(s state.Store) state.Store { return keepsMore{s, 1, 2} }},
	{"keeps events for ever", "EventsExpire", func(s state.Store) state.Store { return keepsLonger{s} }},
	{"keeps events without session", "EventsGoWithTheirSession", func(s state.Store) state.Store { return renames{s} }},
	{"keeps the caller's bytes", "CacheDropsByTag", func(s state.Store) state.Store { return &borrows{Store: s, kept: map[string][]byte{}} }},
	{"drops mail for slow listeners", "MailWaitsForSlowListeners", func(s state.Store) state.Store { return impatient{s} }},
	{"sends mail out of order", "MailReachesEveryListener", func(s state.Store) state.Store { return &shuffles{Store: s} }},
	{"sends mail to every topic", "MailReachesEveryListener", func(s state.Store) state.Store { return oneTopic{s} }},
	{"waits without end", "MailEndsWithItsContext", func(s state.Store) state.Store { return stubborn{s} }},
	{"holds mail without bound", "MailEndsWithItsContext", func(s state.Store) state.Store { return hoards{s} }},
	{"forgets tags", "CacheDropsByTag", func(s state.Store) state.Store { return untagged{s} }},
	{"keeps the tags of replaced values", "CacheReplaces", func(s state.Store) state.Store { return &oldTags{Store: s, tags: map[string][]string{}} }},
	{"keeps values for ever", "CacheExpires", func(s state.Store) state.Store { return stale{s} }},
	{"has buckets that do not fill", "BucketsRefill", func(s state.Store) state.Store { return dry{s} }},
	{"has one bucket", "BucketsRefill", func(s state.Store) state.Store { return oneBucket{s} }},
	{"looks, then takes", "BucketsUsedAtOnce", func(s state.Store) state.Store { return &looksFirst{Store: s, left: map[string]int{}} }},
	{"frees a place twice", "PlacesAreBounded", func(s state.Store) state.Store { return &leavesTwice{Store: s} }},
	{"keeps abandoned places", "PlacesAreBounded", func(s state.Store) state.Store { return holdsPlaces{s} }},
	{"works on when cancelled", "CancelledCallsDoNothing", func(s state.Store) state.Store { return deaf{s} }},
	{"works on when closed", "ClosedStoreRefuses", func(s state.Store) state.Store { return &openDoor{Store: s} }},
	{"takes keys of any length", "ArgumentsAreBounded", func(s state.Store) state.Store { return cutsKeys{s} }},
}

const brokenEnv = "STATETEST_BROKEN"

func harness(wrap func(state.Store) state.Store) statetest.Harness {
	var mu sync.Mutex
	now := time.Unix(1_000_000, 0)
	return statetest.Harness{
		Open: func(*testing.T) state.Store {
			return wrap(state.NewMemory(state.MemoryOptions{Now: func() time.Time {
				mu.Lock()
				defer mu.Unlock()
				return now
			}}))
		},
		Advance: func(d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(d)
		},
	}
}

// TestOneBroken is what TestContractNoticesBrokenStores runs in other processes.
func TestOneBroken(t *testing.T) {
	name := os.Getenv(brokenEnv)
	for _, b := range broken {
		if b.name == name {
			statetest.Run(t, harness(b.open))
		}
	}
}

func TestContractNoticesBrokenStores(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range broken {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), exe, "-test.v", "-test.timeout=1m", "-test.run=^TestOneBroken$/^"+regexp.QuoteMeta(b.part)+"$")
			cmd.Env = append(os.Environ(), brokenEnv+"="+b.name)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				t.Fatalf("a store that %s passes %s: %v\n%s", b.name, b.part, err, out)
			}
			if !bytes.Contains(out, []byte("--- FAIL: TestOneBroken/"+b.part)) {
				t.Errorf("%s failed in another way:\n%s", b.part, out)
			}
		})
	}
}

type openSessions struct {
	state.Store
	owners sync.Map
}

func (s *openSessions) PutSession(ctx context.Context, in state.Session, ttl time.Duration, most int) error {
	s.owners.Store(in.ID, in.Owner)
	return s.Store.PutSession(ctx, in, ttl, most)
}

func (s *openSessions) Session(ctx context.Context, id, _ string, ttl time.Duration) (state.Session, error) {
	owner, _ := s.owners.Load(id)
	name, _ := owner.(string)
	return s.Store.Session(ctx, id, name, ttl)
}

type anybodyDeletes struct {
	state.Store
	owners sync.Map
}

func (s *anybodyDeletes) PutSession(ctx context.Context, in state.Session, ttl time.Duration, most int) error {
	s.owners.Store(in.ID, in.Owner)
	return s.Store.PutSession(ctx, in, ttl, most)
}

func (s *anybodyDeletes) DeleteSession(ctx context.Context, id, _ string) error {
	owner, _ := s.owners.Load(id)
	name, _ := owner.(string)
	return s.Store.DeleteSession(ctx, id, name)
}

type anybodyReplaces struct{ state.Store }

func (s anybodyReplaces) PutSession(ctx context.Context, in state.Session, ttl time.Duration, most int) error {
	if err := s.Store.PutSession(ctx, in, ttl, most); !errors.Is(err, state.ErrConflict) {
		return err
	}
	return nil
}

type everlasting struct{ state.Store }

func (s everlasting) PutSession(ctx context.Context, in state.Session, ttl time.Duration, most int) error {
	return s.Store.PutSession(ctx, in, 1000*ttl, most)
}

func (s everlasting) Session(ctx context.Context, id, owner string, ttl time.Duration) (state.Session, error) {
	return s.Store.Session(ctx, id, owner, 1000*ttl)
}

type unprolonged struct{ state.Store }

func (s unprolonged) Session(ctx context.Context, id, owner string, _ time.Duration) (state.Session, error) {
	return s.Store.Session(ctx, id, owner, 10*time.Second)
}

type unbounded struct{ state.Store }

func (s unbounded) PutSession(ctx context.Context, in state.Session, ttl time.Duration, _ int) error {
	return s.Store.PutSession(ctx, in, ttl, 0)
}

type countsFirst struct {
	state.Store
	mu    sync.Mutex
	count int
}

func (s *countsFirst) PutSession(ctx context.Context, in state.Session, ttl time.Duration, most int) error {
	s.mu.Lock()
	n := s.count
	s.mu.Unlock()
	if most > 0 && n >= most {
		return state.ErrFull
	}
	time.Sleep(time.Millisecond)
	s.mu.Lock()
	s.count++
	s.mu.Unlock()
	return s.Store.PutSession(ctx, in, ttl, 0)
}

type oneStream struct{ state.Store }

func (s oneStream) EventsAfter(ctx context.Context, session string, _, after uint64, limit int) ([]state.Event, error) {
	return s.Store.EventsAfter(ctx, session, 1, after, limit)
}

type gapless struct{ state.Store }

func (s gapless) EventsAfter(ctx context.Context, session string, stream, after uint64, limit int) ([]state.Event, error) {
	out, err := s.Store.EventsAfter(ctx, session, stream, after, limit)
	if errors.Is(err, state.ErrGap) {
		err = nil
	}
	return out, err
}

type partGapless struct{ state.Store }

func (s partGapless) EventsAfter(ctx context.Context, session string, stream, after uint64, limit int) ([]state.Event, error) {
	out, err := s.Store.EventsAfter(ctx, session, stream, after, limit)
	if errors.Is(err, state.ErrGap) && len(out) > 0 {
		err = nil
	}
	return out, err
}

type twice struct{ state.Store }

func (s twice) AppendEvent(ctx context.Context, session string, stream uint64, e state.Event, keep state.Keep) error {
	if err := s.Store.AppendEvent(ctx, session, stream, e, keep); !errors.Is(err, state.ErrConflict) {
		return err
	}
	return nil
}

type keepsMore struct {
	state.Store
	events, bytes int
}

func (s keepsMore) AppendEvent(ctx context.Context, session string, stream uint64, e state.Event, keep state.Keep) error {
	keep.Events *= s.events
	keep.Bytes *= s.bytes
	return s.Store.AppendEvent(ctx, session, stream, e, keep)
}

type keepsLonger struct{ state.Store }

func (s keepsLonger) AppendEvent(ctx context.Context, session string, stream uint64, e state.Event, keep state.Keep) error {
	keep.Age *= 1000
	return s.Store.AppendEvent(ctx, session, stream, e, keep)
}

// renames keeps events where DeleteSession does not look for them.
type renames struct{ state.Store }

func (s renames) AppendEvent(ctx context.Context, session string, stream uint64, e state.Event, keep state.Keep) error {
	return s.Store.AppendEvent(ctx, "events of "+session, stream, e, keep)
}

func (s renames) EventsAfter(ctx context.Context, session string, stream, after uint64, limit int) ([]state.Event, error) {
	return s.Store.EventsAfter(ctx, "events of "+session, stream, after, limit)
}

type borrows struct {
	state.Store
	mu   sync.Mutex
	kept map[string][]byte
}

func (s *borrows) PutCached(ctx context.Context, key string, value []byte, ttl time.Duration, tags ...string) error {
	s.mu.Lock()
	s.kept[key] = value
	s.mu.Unlock()
	return s.Store.PutCached(ctx, key, value, ttl, tags...)
}

func (s *borrows) Cached(ctx context.Context, key string) ([]byte, error) {
	if _, err := s.Store.Cached(ctx, key); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[key], nil
}

type impatient struct{ state.Store }

func (s impatient) Send(ctx context.Context, topic string, data []byte) (int, error) {
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	n, err := s.Store.Send(short, topic, data)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return 1, nil
	}
	return n, err
}

type shuffles struct {
	state.Store
	mu   sync.Mutex
	held map[string][]byte
}

func (s *shuffles) Send(ctx context.Context, topic string, data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = map[string][]byte{}
	}
	if first := s.held[topic]; first != nil {
		delete(s.held, topic)
		if _, err := s.Store.Send(ctx, topic, data); err != nil {
			return 0, err
		}
		return s.Store.Send(ctx, topic, first)
	}
	n, err := s.Store.Send(ctx, topic+" nobody", nil)
	if err != nil {
		return n, err
	}
	s.held[topic] = bytes.Clone(data)
	return 2, nil
}

type oneTopic struct{ state.Store }

func (s oneTopic) Listen(ctx context.Context, _ string, ready chan<- struct{}, handle func([]byte)) error {
	return s.Store.Listen(ctx, "a", ready, handle)
}

type stubborn struct{ state.Store }

func (s stubborn) Send(ctx context.Context, topic string, data []byte) (int, error) {
	return s.Store.Send(context.WithoutCancel(ctx), topic, data)
}

type hoards struct{ state.Store }

func (s hoards) Send(ctx context.Context, topic string, data []byte) (int, error) {
	go func() { _, _ = s.Store.Send(context.WithoutCancel(ctx), topic, data[:0]) }()
	return 1, nil
}

type untagged struct{ state.Store }

func (s untagged) PutCached(ctx context.Context, key string, value []byte, ttl time.Duration, _ ...string) error {
	return s.Store.PutCached(ctx, key, value, ttl)
}

type oldTags struct {
	state.Store
	mu   sync.Mutex
	tags map[string][]string
}

func (s *oldTags) PutCached(ctx context.Context, key string, value []byte, ttl time.Duration, tags ...string) error {
	s.mu.Lock()
	s.tags[key] = append(s.tags[key], tags...)
	all := s.tags[key]
	s.mu.Unlock()
	return s.Store.PutCached(ctx, key, value, ttl, all...)
}

type stale struct{ state.Store }

func (s stale) PutCached(ctx context.Context, key string, value []byte, ttl time.Duration, tags ...string) error {
	return s.Store.PutCached(ctx, key, value, 1000*ttl, tags...)
}

type dry struct{ state.Store }

func (s dry) Take(ctx context.Context, key string, _ float64, burst int) (bool, time.Duration, error) {
	ok, _, err := s.Store.Take(ctx, key, 0, burst)
	if ok {
		return ok, 0, err
	}
	return ok, time.Millisecond, err
}

type oneBucket struct{ state.Store }

func (s oneBucket) Take(ctx context.Context, _ string, rate float64, burst int) (bool, time.Duration, error) {
	return s.Store.Take(ctx, "all", rate, burst)
}

type looksFirst struct {
	state.Store
	mu   sync.Mutex
	left map[string]int
}

func (s *looksFirst) Take(_ context.Context, key string, _ float64, burst int) (bool, time.Duration, error) {
	s.mu.Lock()
	left, known := s.left[key]
	s.mu.Unlock()
	if !known {
		left = burst
	}
	if left <= 0 {
		return false, time.Second, nil
	}
	time.Sleep(100 * time.Microsecond)
	s.mu.Lock()
	s.left[key] = left - 1
	s.mu.Unlock()
	return true, 0, nil
}

type leavesTwice struct {
	state.Store
	mu    sync.Mutex
	count int
}

func (s *leavesTwice) Enter(_ context.Context, _ string, most int, _ time.Duration) (func(), bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count >= most {
		return nil, false, nil
	}
	s.count++
	return func() {
		s.mu.Lock()
		s.count--
		s.mu.Unlock()
	}, true, nil
}

type holdsPlaces struct{ state.Store }

func (s holdsPlaces) Enter(ctx context.Context, key string, most int, ttl time.Duration) (func(), bool, error) {
	return s.Store.Enter(ctx, key, most, 1000*ttl)
}

type deaf struct{ state.Store }

func (s deaf) PutCached(ctx context.Context, key string, value []byte, ttl time.Duration, tags ...string) error {
	if err := s.Store.PutCached(context.WithoutCancel(ctx), key, value, ttl, tags...); err != nil {
		return err
	}
	return ctx.Err()
}

type openDoor struct {
	state.Store
	mu     sync.Mutex
	closed bool
}

func (s *openDoor) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.Store.Close()
}

func (s *openDoor) Cached(ctx context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return []byte("v"), nil
	}
	return s.Store.Cached(ctx, key)
}

type cutsKeys struct{ state.Store }

func (s cutsKeys) Cached(ctx context.Context, key string) ([]byte, error) {
	return s.Store.Cached(ctx, key[:min(len(key), state.MaxKey)])
}
