package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

type ownerKey struct{}

func asOwner(name string) context.Context {
	return context.WithValue(context.Background(), ownerKey{}, name)
}

// farm starts upstreams that answer initialize and echo, and counts them.
type farm struct {
	t     *testing.T
	fault error // what starting fails with
	quits bool  // upstreams end at their first message
	slow  time.Duration

	mu      sync.Mutex
	started []wire.Conn // the upstream's ends
	running int
	serving sync.WaitGroup
}

func (f *farm) start() (wire.Conn, error) {
	if f.fault != nil {
		return nil, f.fault
	}
	near, far := wire.Pipe(100)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started = append(f.started, far)
	f.running++
	n := len(f.started)
	f.serving.Go(func() {
		if f.quits {
			_, _ = far.Read(context.Background())
		} else {
			f.serve(far, n)
		}
		_ = far.Close()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.running--
	})
	return slowClose{near, f.slow}, nil
}

type slowClose struct {
	wire.Conn
	wait time.Duration
}

func (c slowClose) Close() error {
	time.Sleep(c.wait)
	return c.Conn.Close()
}

func (f *farm) serve(far wire.Conn, n int) {
	for {
		m, err := far.Read(context.Background())
		if err != nil {
			return
		}
		switch {
		case m.Method == "die":
			return
		case m.Kind == wire.Request && m.Method != "silence":
			_ = far.Write(context.Background(), wire.MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"process":%d,"params":%s}}`, m.ID, n, orNull(wire.Lookup(m.Raw, "params")))))
		}
	}
}

func orNull(raw []byte) []byte {
	if raw == nil {
		return []byte("null")
	}
	return raw
}

func (f *farm) counts() (started, running int) {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.started), f.running
}

// withProcesses runs a test in a bubble. At its end everything is closed and
// nothing may run on.
func withProcesses(t *testing.T, opts ProcessOptions, test func(t *testing.T, f *farm, p *Processes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &farm{t: t}
		opts.Start = f.start
		if opts.Owner == nil {
			opts.Owner = func(ctx context.Context) string { name, _ := ctx.Value(ownerKey{}).(string); return name }
		}
		p, err := NewProcesses(opts)
		if err != nil {
			t.Fatal(err)
		}
		test(t, f, p)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if _, running := f.counts(); running != 0 {
			t.Errorf("%d processes run on after Close", running)
		}
		f.serving.Wait()
	})
}

// session is one client's connection, closed at the end of the test.
type session struct {
	t *testing.T
	wire.Conn
}

func openSession(t *testing.T, p *Processes, owner string) *session {
	t.Helper()
	c, err := p.Open(asOwner(owner))
	if err != nil {
		t.Fatal(err)
	}
	return &session{t, c}
}

// ask sends a request and returns what answers it.
func (s *session) ask(raw string) string {
	s.t.Helper()
	got, err := s.try(raw)
	if err != nil {
		s.t.Fatalf("%s: %v", raw, err)
	}
	return got
}

func (s *session) try(raw string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Write(ctx, wire.MustParse(raw)); err != nil {
		return "", err
	}
	f, err := s.Read(ctx)
	return string(f.Raw), err
}

func hello(version, capabilities string) string {
	return `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"` + version + `","capabilities":` + capabilities + `}}`
}

// process opens the session and returns which process serves it.
func (s *session) process(version, capabilities string) string {
	s.t.Helper()
	return string(wire.Lookup([]byte(s.ask(hello(version, capabilities))), "result", "process"))
}

func TestProcessSharing(t *testing.T) {
	type client struct{ owner, version, capabilities string }
	clients := []client{
		{"ada", "2025-11-25", "{}"}, {"ada", "2025-11-25", "{}"}, {"ada", "2025-06-18", "{}"}, {"ada", "2025-11-25", `{"roots":{}}`},
		{"bob", "2025-11-25", "{}"}, {"ada", "2025-11-25", "{}"},
	}
	for mode, want := range map[Process]string{
		"":                "1 1 2 3 4 1",
		ProcessPerUser:    "1 1 2 3 4 1",
		ProcessPerSession: "1 2 3 4 5 6",
		ProcessShared:     "1 1 1 1 1 1",
	} {
		withProcesses(t, ProcessOptions{Process: mode}, func(t *testing.T, _ *farm, p *Processes) {
			var got []string
			for _, c := range clients {
				got = append(got, openSession(t, p, c.owner).process(c.version, c.capabilities))
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s: sessions have processes %v, want %s", mode, got, want)
			}
		})
	}
}

func TestProcessOptionsAreChecked(t *testing.T) {
	start := func() (wire.Conn, error) { return nil, errors.New("no") }
	owner := func(context.Context) string { return "" }
	for name, opts := range map[string]ProcessOptions{
		"no start": {Owner: owner},
		"no owner": {Start: start},
		"mode":     {Start: start, Owner: owner, Process: "per-request"},
	} {
		if _, err := NewProcesses(opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	p, err := NewProcesses(ProcessOptions{Start: start, Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Open(t.Context()); err == nil {
		t.Error("nobody got a process of their own")
	}
}

func TestProcessIdleStop(t *testing.T) {
	withProcesses(t, ProcessOptions{IdleStop: time.Minute}, func(t *testing.T, f *farm, p *Processes) {
		a, b := openSession(t, p, "ada"), openSession(t, p, "ada")
		a.process("2025-11-25", "{}")
		b.process("2025-11-25", "{}")
		time.Sleep(time.Hour)
		_ = a.Close()
		time.Sleep(time.Hour)
		if _, running := f.counts(); running != 1 {
			t.Fatal("a process in use was stopped")
		}
		_ = b.Close()
		time.Sleep(59 * time.Second)
		c := openSession(t, p, "ada") // comes in time
		if got := c.process("2025-11-25", "{}"); got != "1" {
			t.Errorf("got process %s", got)
		}
		time.Sleep(time.Hour)
		if _, running := f.counts(); running != 1 {
			t.Fatal("a process in use was stopped")
		}
		_ = c.Close()
		time.Sleep(61 * time.Second)
		if started, running := f.counts(); started != 1 || running != 0 {
			t.Errorf("%d started, %d running", started, running)
		}
		if got := openSession(t, p, "ada").process("2025-11-25", "{}"); got != "2" {
			t.Errorf("got process %s", got)
		}
	})
}

func TestProcessPerSessionEndsWithIt(t *testing.T) {
	withProcesses(t, ProcessOptions{Process: ProcessPerSession}, func(t *testing.T, f *farm, p *Processes) {
		a, b := openSession(t, p, "ada"), openSession(t, p, "ada")
		a.process("2025-11-25", "{}")
		b.process("2025-11-25", "{}")
		_ = a.Close()
		if _, running := f.counts(); running != 1 {
			t.Errorf("%d running", running)
		}
	})
}

func TestProcessThatDied(t *testing.T) {
	withProcesses(t, ProcessOptions{}, func(t *testing.T, f *farm, p *Processes) {
		a, b := openSession(t, p, "ada"), openSession(t, p, "ada")
		a.process("2025-11-25", "{}")
		b.process("2025-11-25", "{}")
		time.Sleep(time.Minute)
		if _, err := a.try(`{"jsonrpc":"2.0","id":1,"method":"die"}`); err == nil {
			t.Error("the end of the process did not end a's connection")
		}
		if _, err := b.try(`{"jsonrpc":"2.0","id":1,"method":"x"}`); err == nil {
			t.Error("the end of the process did not end b's connection")
		}
		// It had lived for long: the next session needs not wait.
		if got := openSession(t, p, "ada").process("2025-11-25", "{}"); got != "2" {
			t.Errorf("got process %s", got)
		}
	})
}

func TestProcessThatKeepsEnding(t *testing.T) {
	withProcesses(t, ProcessOptions{}, func(t *testing.T, f *farm, p *Processes) {
		f.quits = true
		attempt := func(owner string) string {
			s := openSession(t, p, owner)
			defer s.Close()
			got, err := s.try(hello("2025-11-25", "{}"))
			synctest.Wait()
			if err != nil {
				return "died"
			}
			return got
		}
		for i := range 2 { // the first failure is free
			if got := attempt("ada"); got != "died" {
				t.Fatalf("attempt %d: %s", i, got)
			}
		}
		if got := attempt("ada"); !strings.Contains(got, `"id":0,"error"`) || !strings.Contains(got, "tried again in 1s") {
			t.Errorf("got %s", got)
		}
		if got := attempt("bob"); got != "died" {
			t.Errorf("another's failures delayed bob: %s", got)
		}
		delays := 0
		for range 8 {
			for attempt("ada") != "died" {
				time.Sleep(time.Second)
				delays++
			}
		}
		if started, _ := f.counts(); started != 11 || delays < 60 || delays > 200 {
			t.Errorf("%d starts with %d seconds between", started, delays)
		}
		f.quits = false
		time.Sleep(longestDelay)
		s := openSession(t, p, "ada")
		s.process("2025-11-25", "{}")
	})
}

func TestProcessThatCannotStart(t *testing.T) {
	withProcesses(t, ProcessOptions{Process: ProcessPerSession}, func(t *testing.T, f *farm, p *Processes) {
		f.fault = errors.New("no such file: /srv/s3cr3t")
		s := openSession(t, p, "ada")
		if got := s.ask(hello("2025-11-25", "{}")); !strings.Contains(got, `"id":0,"error"`) || !strings.Contains(got, "could not be started") || strings.Contains(got, "s3cr3t") {
			t.Errorf("got %s", got)
		}
		if _, err := s.Read(t.Context()); !errors.Is(err, f.fault) {
			t.Errorf("the log would not learn why: %v", err)
		}
		if err := s.Write(t.Context(), wire.MustParse(ready)); !errors.Is(err, f.fault) {
			t.Errorf("writing: %v", err)
		}
		_ = s.Close()
		// A client without initialize gets the error itself.
		s = openSession(t, p, "ada")
		if err := s.Write(t.Context(), wire.MustParse(`{"jsonrpc":"2.0","id":1,"method":"server/discover"}`)); !errors.Is(err, f.fault) {
			t.Errorf("got %v", err)
		}
	})
}

func TestProcessBounds(t *testing.T) {
	withProcesses(t, ProcessOptions{Bounds: bounds(3, 2)}, func(t *testing.T, f *farm, p *Processes) {
		// Whoever waits for an answer keeps the process.
		busy := func(s *session) *session {
			if err := s.Write(t.Context(), wire.MustParse(`{"jsonrpc":"2.0","id":9,"method":"silence"}`)); err != nil {
				t.Fatal(err)
			}
			return s
		}
		refused := func(owner, version string) bool {
			_, err := openSession(t, p, owner).try(hello(version, "{}"))
			var refusal *wire.Refusal
			return errors.As(err, &refusal) && errors.Is(err, ErrTooManyProcesses) && refusal.Header.Get("Retry-After") != ""
		}
		a1, a2 := openSession(t, p, "ada"), openSession(t, p, "ada")
		a1.process("1", "{}")
		a2.process("2", "{}")
		busy(a1)
		busy(a2)
		if !refused("ada", "3") {
			t.Error("one principal got more than its share")
		}
		b := openSession(t, p, "bob")
		b.process("1", "{}")
		busy(b)
		if !refused("eve", "1") {
			t.Error("there are more processes than allowed")
		}
		// Idle ones make room, the longest idle first.
		_ = a2.Close()
		time.Sleep(time.Second)
		_ = b.Close()
		if refused("eve", "1") {
			t.Error("an idle process made no room")
		}
		if got := openSession(t, p, "bob").process("1", "{}"); got != "3" {
			t.Errorf("bob's process %s was ended first", got)
		}
		if started, running := f.counts(); started != 4 || running != 3 {
			t.Errorf("%d started, %d running", started, running)
		}
	})
}

func bounds(all, own int) func() ProcessBounds {
	return func() ProcessBounds { return ProcessBounds{all, own} }
}

// Sessions that wait for nothing are no reason to refuse others. The longest
// idle one makes room; what its client sends after that goes nowhere.
func TestProcessOfAnIdleSessionMakesRoom(t *testing.T) {
	for name, bounds := range map[string]func() ProcessBounds{"all": bounds(2, 5), "own": bounds(5, 2)} {
		t.Run(name, func(t *testing.T) {
			withProcesses(t, ProcessOptions{Process: ProcessPerSession, Bounds: bounds}, func(t *testing.T, f *farm, p *Processes) {
				a, b := openSession(t, p, "ada"), openSession(t, p, "ada")
				a.process("1", "{}")
				time.Sleep(time.Second)
				b.process("1", "{}")
				time.Sleep(time.Second)
				a.ask(`{"jsonrpc":"2.0","id":1,"method":"x"}`) // so b is idle longest
				time.Sleep(time.Second)
				c := openSession(t, p, "ada")
				c.process("1", "{}")
				if _, running := f.counts(); running != 2 {
					t.Errorf("%d running", running)
				}
				for _, raw := range []string{`{"jsonrpc":"2.0","id":1,"method":"x"}`, hello("1", "{}"), `{"jsonrpc":"2.0","method":"x"}`} {
					if err := b.Write(t.Context(), wire.MustParse(raw)); !errors.Is(err, errMadeRoom) {
						t.Errorf("b's %s: %v", raw, err)
					}
				}
				if _, err := b.Read(t.Context()); !errors.Is(err, errMadeRoom) {
					t.Errorf("b reads %v", err)
				}
				a.ask(`{"jsonrpc":"2.0","id":2,"method":"x"}`)
				c.ask(`{"jsonrpc":"2.0","id":2,"method":"x"}`)
			})
		})
	}
}

// A lower bound ends what is idle when the next process is needed.
func TestProcessBoundsChange(t *testing.T) {
	all := 5
	withProcesses(t, ProcessOptions{Bounds: func() ProcessBounds { return ProcessBounds{All: all} }}, func(t *testing.T, f *farm, p *Processes) {
		for n := range 5 {
			openSession(t, p, fmt.Sprint("owner ", n)).process("1", "{}")
		}
		all = 2
		openSession(t, p, "another").process("1", "{}")
		if _, running := f.counts(); running != 2 {
			t.Errorf("%d running", running)
		}
	})
}

// A client of the stateless era, or a probe, speaks before anybody initializes.
func TestProcessOfAnInitializeThatComesLater(t *testing.T) {
	const discover = `{"jsonrpc":"2.0","id":"d","method":"server/discover"}`
	withProcesses(t, ProcessOptions{}, func(t *testing.T, f *farm, p *Processes) {
		process := func(answer string) string { return string(wire.Lookup([]byte(answer), "result", "process")) }
		a, b := openSession(t, p, "ada"), openSession(t, p, "ada")
		if got := process(a.ask(discover)); got != "1" {
			t.Errorf("got %s", got)
		}
		if got := a.process("2025-11-25", "{}"); got != "1" { // goes on with what it has
			t.Errorf("got %s", got)
		}
		if got := process(b.ask(discover)); got != "2" { // not one that has been greeted
			t.Errorf("got %s", got)
		}
		if got := b.process("2025-11-25", "{}"); got != "1" { // joins
			t.Errorf("got %s", got)
		}
		if got := process(b.ask(`{"jsonrpc":"2.0","id":1,"method":"x"}`)); got != "1" {
			t.Errorf("got %s", got)
		}
		c, d := openSession(t, p, "ada"), openSession(t, p, "ada")
		if got := process(c.ask(discover)) + process(d.ask(discover)); got != "22" {
			t.Errorf("got %s", got)
		}
		if got := c.process("2025-11-25", `{"sampling":{}}`); got != "3" { // d has the other
			t.Errorf("got %s", got)
		}
		for _, s := range []*session{a, b, c, d} {
			_ = s.Close()
		}
		time.Sleep(time.Hour)
		if _, running := f.counts(); running != 0 {
			t.Errorf("%d run on", running)
		}
	})
}

func TestProcessReadsOnAfterAChange(t *testing.T) {
	withProcesses(t, ProcessOptions{}, func(t *testing.T, f *farm, p *Processes) {
		a, b := openSession(t, p, "ada"), openSession(t, p, "ada")
		a.ask(`{"jsonrpc":"2.0","id":1,"method":"x"}`)
		b.ask(`{"jsonrpc":"2.0","id":1,"method":"x"}`)
		read := make(chan string)
		go func() {
			f, err := b.Read(context.Background())
			read <- fmt.Sprint(string(f.Raw), err)
		}()
		synctest.Wait()
		if err := b.Write(t.Context(), wire.MustParse(hello("2025-11-25", "{}"))); err != nil {
			t.Fatal(err)
		}
		if got := <-read; !strings.Contains(got, `"process":2`) {
			t.Errorf("got %s", got)
		}
	})
}

func TestProcessesCloseWaitsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &farm{t: t, slow: 5 * time.Second}
		p, err := NewProcesses(ProcessOptions{Start: f.start, Process: ProcessPerSession})
		if err != nil {
			t.Fatal(err)
		}
		a, b, c := openSession(t, p, ""), openSession(t, p, ""), openSession(t, p, "")
		a.process("1", "{}")
		b.process("1", "{}")
		_, _ = c.try(`{"jsonrpc":"2.0","id":1,"method":"die"}`)
		_ = a.Close() // all of them are being ended, for one reason or another
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if _, running := f.counts(); running != 0 {
			t.Errorf("%d run on", running)
		}
		if err := b.Write(t.Context(), wire.MustParse(ready)); err == nil {
			t.Error("writing after Close succeeded")
		}
		s := openSession(t, p, "")
		if err := s.Write(t.Context(), wire.MustParse(hello("1", "{}"))); !errors.Is(err, wire.ErrClosed) && err != nil {
			t.Errorf("opening after Close: %v", err)
		}
		if started, _ := f.counts(); started != 3 {
			t.Error("a process was started after Close")
		}
	})
}

func TestDelaysAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startDelays{}
		for i := range maxDelays + 100 {
			d.failed(fmt.Sprint(i))
		}
		for range 40 {
			d.failed("x")
		}
		if len(d) > maxDelays {
			t.Errorf("%d are remembered", len(d))
		}
		var delay *delayError
		if err := d.check("x"); !errors.As(err, &delay) || delay.wait != longestDelay {
			t.Errorf("got %v", err)
		}
	})
}

// Sessions of one user that come and go, and processes that die, under load.
func TestManyCallsOfManySessionsOnOneProcess(t *testing.T) {
	const sessions, calls = 10, 200
	up := &chatter{}
	p, err := NewProcesses(ProcessOptions{Start: up.start, Owner: func(context.Context) string { return "ada" }})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	for n := range sessions {
		running.Go(func() {
			s := openSession(t, p, "ada")
			defer s.Close()
			s.process("2025-11-25", "{}")
			running.Go(func() {
				for i := range calls {
					if err := s.Write(t.Context(), wire.MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"x","params":{"mark":"%d/%d","_meta":{"progressToken":%d}}}`, i, n, i, i))); err != nil {
						t.Error(err)
					}
				}
			})
			progress := make([]int, calls)
			for answered := 0; answered < calls; {
				f, err := s.Read(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				i := -1
				token := f.ID
				if f.Kind == wire.Notification {
					token = wire.Lookup(f.Raw, "params", "progressToken")
				}
				_, _ = fmt.Sscan(string(token), &i)
				if !bytes.Contains(f.Raw, fmt.Appendf(nil, `"%d/%d"`, n, i)) {
					t.Errorf("session %d got %s", n, f.Raw)
					return
				}
				switch {
				case f.Kind == wire.Notification:
					progress[i]++
				case progress[i] != 2:
					t.Errorf("%s came after %d of 2 notifications", f.Raw, progress[i])
					answered++
				default:
					answered++
				}
				f.Release()
			}
		})
	}
	running.Wait()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	up.serving.Wait()
}

// chatter is an upstream that keeps calls for a while and answers them out of
// order, with progress in between.
type chatter struct{ serving sync.WaitGroup }

func (c *chatter) start() (wire.Conn, error) {
	near, far := wire.Pipe(10)
	c.serving.Go(func() {
		defer far.Close()
		write := func(format string, args ...any) {
			_ = far.Write(context.Background(), wire.MustParse(fmt.Sprintf(format, args...)))
		}
		type held struct{ id, token, mark string }
		var calls []held
		flush := func() {
			for step := range 2 {
				for _, h := range calls {
					write(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d,"message":%s}}`, h.token, step, h.mark)
				}
			}
			for i := len(calls) - 1; i >= 0; i-- {
				write(`{"jsonrpc":"2.0","id":%s,"result":{"mark":%s}}`, calls[i].id, calls[i].mark)
			}
			calls = nil
		}
		for {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
			f, err := far.Read(ctx)
			cancel()
			switch {
			case errors.Is(err, context.DeadlineExceeded):
				flush()
			case err != nil:
				return
			case f.Method == "initialize":
				write(`{"jsonrpc":"2.0","id":%s,"result":{"process":1}}`, f.ID)
			case f.Kind == wire.Request:
				calls = append(calls, held{string(f.ID), string(wire.Lookup(f.Raw, "params", "_meta", "progressToken")), string(wire.Lookup(f.Raw, "params", "mark"))})
				if len(calls) == 25 {
					flush()
				}
			}
		}
	})
	return near, nil
}
