package bridge

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/memnet"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// soakSeed makes the run of an ordinary test the same each time.
const soakSeed = 20260728

// TestSoak plays an hour of a busy session in compressed time, with random
// faults, and accounts for every byte that went in and came out. With the build
// tag soak it plays hours with seeds of their own until its time is up.
func TestSoak(t *testing.T) { //nolint:tparallel // the hours come one after another
	t.Parallel()
	until := time.Now().Add(soakTime)
	for seed := uint64(soakSeed); ; seed = rand.Uint64() {
		if soakTime > 0 && seed != soakSeed {
			t.Logf("seed %d", seed)
		}
		fine := t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			for _, url := range []string{modelURL, sseURL} {
				t.Run(strings.TrimPrefix(url, "http://"+modelHost+"/"), func(t *testing.T) { soak(t, url, seed) })
			}
		})
		if !fine || time.Now().After(until) {
			return
		}
	}
}

// soakHour is one run.
type soakHour struct {
	*world
	rand *rand.Rand
	src  *rotating

	mu     sync.Mutex // guards what the server's handler reads too
	busy   int        // requests to turn away
	faults map[string]int
	calls  []*sentCall
	said   int // the server's notifications outside of calls
}

// soak plays the hour over Streamable HTTP or HTTP+SSE, as the address has it.
func soak(t *testing.T, url string, seed uint64) {
	src := &rotating{}
	synctest.Test(t, func(t *testing.T) {
		h := &soakHour{
			world: newWorld(t, Options{URL: url, Tokens: src}), src: src, faults: map[string]int{},
			rand: rand.New(rand.NewPCG(seed, 1)),
		}
		h.server.before = h.before
		if seed%2 == 0 { // as most SDKs have it
			h.server.lost = func(w http.ResponseWriter) {
				http.Error(w, `{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":null}`, http.StatusBadRequest)
			}
		}
		h.open()
		h.play(time.Hour)
		h.heal()
		h.settle()
		h.account()
		h.end()
	})
}

// rotating is a TokenSource whose token the server rejects from time to time.
type rotating struct {
	mu      sync.Mutex
	current int
	valid   int
}

func (r *rotating) Token(context.Context) (Token, time.Time, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Token(strconv.Itoa(r.current)), time.Now().Add(2 * time.Hour), nil
}

func (r *rotating) Refresh(context.Context, Token, []string) (Token, time.Time, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = r.valid
	return Token(strconv.Itoa(r.current)), time.Now().Add(2 * time.Hour), nil
}

func (r *rotating) Refused(status int, _ []string) error {
	return fmt.Errorf("refused with %d", status)
}

func (r *rotating) rotate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.valid++
}

func (r *rotating) accepts(header string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return header == "Bearer "+strconv.Itoa(r.valid)
}

// before is the server on a bad day.
func (h *soakHour) before(w http.ResponseWriter, r *http.Request, _ wire.Frame) bool {
	if !h.src.accepts(r.Header.Get("Authorization")) {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.busy == 0 || r.Method != http.MethodPost {
		return false
	}
	h.busy--
	w.Header().Set("Retry-After", strconv.Itoa(h.busy%3))
	w.WriteHeader([]int{http.StatusServiceUnavailable, http.StatusTooManyRequests}[h.busy%2])
	return true
}

// play lets things happen for a while.
func (h *soakHour) play(d time.Duration) {
	end := time.Now().Add(d)
	fault := time.Now().Add(10 * time.Second)
	for i := 0; time.Now().Before(end); i++ {
		switch n := h.rand.IntN(100); {
		case n < 80:
			h.calls = append(h.calls, h.request(i))
		case n < 85 && len(h.calls) > 0:
			h.giveUp(h.calls[len(h.calls)-1])
		default:
			h.say()
		}
		time.Sleep(time.Duration(h.rand.ExpFloat64() * float64(1500*time.Millisecond)))
		if time.Now().After(fault) {
			h.misfortune()
			fault = time.Now().Add(time.Duration(h.rand.ExpFloat64() * float64(15*time.Second)))
		}
	}
}

// request sends one of what clients send.
func (h *soakHour) request(i int) *sentCall {
	id := fmt.Sprint("r", i)
	size := h.rand.IntN(500)
	switch h.rand.IntN(200) {
	case 0:
		size = 1 << 20
	case 1, 2, 3:
		size = 100_000
	}
	arguments := fmt.Sprintf(`"key":%d,"text":%q`, i, strings.Repeat("ä", size/2))
	switch h.rand.IntN(12) {
	case 0:
		return h.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":"tools/list"}`, id))
	case 1, 2:
		return h.call(id, "slow", fmt.Sprintf(`%s,"ms":%d`, arguments, h.rand.IntN(20_000)))
	case 3, 4:
		return h.call(id, "notes", fmt.Sprintf(`%s,"n":%d,"ms":%d`, arguments, h.rand.IntN(100), h.rand.IntN(200)))
	case 5:
		return h.call(id, "ask", arguments)
	case 6, 7, 8:
		return h.call(id, "echo", arguments)
	default:
		return h.call(id, "write", arguments)
	}
}

// giveUp cancels a call, unless it has been answered.
func (h *soakHour) giveUp(c *sentCall) {
	h.world.mu.Lock()
	open := c.answer == ""
	c.given = open
	h.world.mu.Unlock()
	if open {
		h.write(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%s}}`, c.f.ID))
	}
}

// say has the server say something of its own accord.
func (h *soakHour) say() {
	if s := h.server.session(); s != nil {
		h.said++
		s.general.send(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/message","params":{"n":%d}}`, h.said))
	}
}

// misfortune is one of what happens to servers, networks and clients.
func (h *soakHour) misfortune() {
	lasting := time.Duration(h.rand.Int64N(int64(6 * time.Second)))
	names := []string{"cut", "cut", "cut", "restart", "outage", "token", "busy", "no names", "frozen", "stranded", "slow client"}
	name := names[h.rand.IntN(len(names))]
	h.faults[name]++
	switch name {
	case "cut":
		h.net.Cut()
	case "restart":
		h.world.down()
		h.up()
	case "outage":
		h.world.down()
		time.Sleep(lasting)
		h.up()
	case "token":
		h.src.rotate()
	case "busy":
		h.mu.Lock()
		h.busy = h.rand.IntN(4)
		h.mu.Unlock()
	case "no names":
		h.net.FailDials(memnet.NoSuchHost)
		h.net.Cut()
		time.Sleep(lasting)
		h.net.FailDials(nil)
	case "frozen":
		h.net.Freeze()
		time.Sleep(lasting)
		h.net.Thaw()
	case "stranded":
		h.net.Strand()
		time.Sleep(lasting)
		h.net.Cut()
	case "slow client":
		resume := h.pause()
		time.Sleep(lasting)
		resume()
	}
}

// heal ends all misfortune.
func (h *soakHour) heal() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy = 0
}

// settle waits for what is still under way.
func (h *soakHour) settle() {
	for _, c := range h.calls {
		h.world.mu.Lock()
		given := c.given
		h.world.mu.Unlock()
		if !given {
			h.wait(c)
		}
	}
	time.Sleep(5 * time.Minute)
}

// account compares what the client sent and got with what the server got and did.
func (h *soakHour) account() {
	t := h.t
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	sent := map[string]bool{}
	var in, out, failed int
	codes := map[string]int{}
	for _, c := range h.calls {
		raw := string(c.f.Raw)
		sent[raw] = true
		in += len(raw)
		out += len(c.answer)
		for _, n := range c.notes {
			out += len(n)
		}
		done := h.server.done[string(wire.Lookup(c.f.Raw, "params"))]
		answer := wire.Frame{}
		if c.answer != "" {
			answer = wire.MustParse(c.answer)
		}
		code := string(wire.Lookup(answer.Raw, "error", "code"))
		if answer.Failed {
			failed++
			codes[code]++
		}
		tool := wire.LookupString(c.f.Raw, "params", "name")
		once := tool == "write" || tool == "slow" || tool == "ask" // not said to be repeatable
		switch {
		case once && done > 1:
			t.Errorf("%s was done %d times: %.300s", c.f.ID, done, c.answer)
		case code == strconv.Itoa(CodeUnreachable) && done != 0 && once:
			t.Errorf("%s was said not to have been sent and was done: %.300s", c.f.ID, c.answer)
		case c.answer != "" && !answer.Failed && c.f.Method == "tools/call" && done == 0:
			t.Errorf("%s was answered without having been done", c.f.ID)
		case answer.Failed && !slices.Contains([]string{"-31002", "-31003"}, code):
			t.Errorf("%s failed with %.500s", c.f.ID, c.answer)
		}
		c.cancelled = c.given // for the referee's last word
	}
	for _, raw := range h.server.requests() {
		if f := wire.MustParse(raw); f.Kind == wire.Request && !sent[raw] {
			t.Errorf("the server got what nobody sent: %.300s", raw)
		}
	}
	last, heard := 0, 0
	for _, raw := range h.notes {
		f := wire.MustParse(raw)
		if f.Method != "notifications/message" {
			continue
		}
		n, _ := strconv.Atoi(string(wire.Lookup(f.Raw, "params", "n")))
		if n <= last {
			t.Errorf("the server's message %d came after %d", n, last)
		}
		last = n
		heard++
	}
	t.Logf("%d calls, %d bytes in, %d bytes out, %d failed %v; %d of the server's own %d messages; faults %v", len(h.calls), in, out, failed, codes, heard, h.said, h.faults)
	if failed > len(h.calls)/5 {
		t.Errorf("%d of %d calls failed", failed, len(h.calls))
	}
	if heard < h.said/2 {
		t.Errorf("%d of the server's %d own messages arrived", heard, h.said)
	}
}
