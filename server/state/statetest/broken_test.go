package statetest_test

import (
	"bytes"
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
	{"ends sessions in use", "OwnersLoseIdleSessions", func(s state.Store) state.Store { return harsh{s} }},
	{"ends no idle session", "OwnersLoseIdleSessions", func(s state.Store) state.Store { return lenient{s} }},
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
	t.Parallel()
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
