package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mcpctl/mcpctl/bench/remote"
)

// outstanding is how many calls are under way at once when calls per second are counted.
const outstanding = 32

// A plan says how much is measured.
type plan struct {
	Starts  int           `json:"starts"`
	Rounds  int           `json:"rounds"`
	Calls   int           `json:"calls"`      // one after the other, a round
	Block   int           `json:"block"`      // of them in a row, before the next subject has its turn
	Load    int           `json:"load_calls"` // a round
	Big     int           `json:"big_repeats"`
	Bytes   int           `json:"big_bytes"`
	Notes   int           `json:"notifications"`
	Warmup  int           `json:"warmup_calls"`
	Rest    time.Duration `json:"rest_ns"` // before idle memory is read, and for notifications that come late
	KeepAll bool          `json:"-"`       // every single time goes into the raw numbers
}

// A bench measures all subjects in turns, so that whatever else the machine does hits all of them alike.
type bench struct {
	plan     plan
	url      string
	progress io.Writer
	runs     []*run
}

// A run is one subject while it is measured.
type run struct {
	result
	session session
}

// each lets every subject that is still in the race do one step, first first, and takes those out whose step failed.
func (b *bench) each(ctx context.Context, first int, step func(context.Context, *run) error) {
	for i := range b.runs {
		r := b.runs[(first+i)%len(b.runs)]
		if r.Err != "" {
			continue
		}
		if err := step(ctx, r); err != nil {
			r.Err = err.Error()
			fmt.Fprintf(b.progress, "bench: %s: %v\n", r.Name, err)
		}
	}
}

// measure does everything. Subjects that fail say so in their result.
func (b *bench) measure(ctx context.Context) {
	defer func() {
		for _, r := range b.runs {
			if r.session != nil {
				r.session.close()
			}
		}
	}()
	b.say("starts")
	for i := range b.plan.Starts {
		b.each(ctx, i, b.start)
	}
	b.say("idle memory")
	b.each(ctx, 0, b.settle)
	for _, kind := range []struct {
		tool   string
		rounds func(*run) *[]latency
	}{
		{"echo", func(r *run) *[]latency { return &r.Echo }},
		{"echo_stream", func(r *run) *[]latency { return &r.EchoStream }},
	} {
		b.say("latency of " + kind.tool)
		for range b.plan.Rounds {
			b.latency(ctx, kind.tool, kind.rounds)
		}
	}
	b.say("calls per second")
	for i := range b.plan.Rounds {
		b.each(ctx, i, b.load)
	}
	b.say("big results")
	for i := range b.plan.Big {
		b.each(ctx, i, b.big)
	}
	b.say("notifications")
	for i := range b.plan.Rounds {
		b.each(ctx, i, b.notifications)
	}
	b.each(ctx, 0, func(_ context.Context, r *run) error {
		r.LoadedRSS, r.PeakRSS = memory(r.session.pid())
		return nil
	})
}

func (b *bench) say(what string) { fmt.Fprintf(b.progress, "bench: %s\n", what) }

// start measures one start of the subject, from spawn to tools/list, and ends it again.
func (b *bench) start(ctx context.Context, r *run) error {
	before, err := b.requests(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	s, err := r.open(ctx, b.url)
	if err != nil {
		return err
	}
	defer s.close()
	if err := initialize(ctx, s); err != nil {
		return err
	}
	answered := time.Since(began)
	after, err := b.requests(ctx)
	if err != nil {
		return err
	}
	counting := time.Since(began) - answered
	if err := initialized(ctx, s); err != nil {
		return err
	}
	r.Initialize = append(r.Initialize, milliseconds(answered))
	r.ToolsList = append(r.ToolsList, milliseconds(time.Since(began)-counting))
	r.RequestsBefore = append(r.RequestsBefore, float64(after-before))
	return nil
}

// settle opens the session that everything after uses, measures its memory at rest and warms it up.
func (b *bench) settle(ctx context.Context, r *run) error {
	var err error
	if r.session, err = r.open(ctx, b.url); err != nil {
		return err
	}
	if err := initialize(ctx, r.session); err != nil {
		return err
	}
	if err := initialized(ctx, r.session); err != nil {
		return err
	}
	select {
	case <-time.After(b.plan.Rest):
	case <-ctx.Done():
		return ctx.Err()
	}
	r.IdleRSS, _ = memory(r.session.pid())
	for i := range b.plan.Warmup {
		for _, tool := range []string{"echo", "echo_stream"} {
			if err := echo(ctx, r.session, tool, int64(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// latency measures a round of calls, the subjects taking turns after each block.
func (b *bench) latency(ctx context.Context, tool string, rounds func(*run) *[]latency) {
	samples := map[*run][]float64{}
	for turn := 0; turn*b.plan.Block < b.plan.Calls; turn++ {
		b.each(ctx, turn, func(ctx context.Context, r *run) error {
			for i := range b.plan.Block {
				began := time.Now()
				if err := echo(ctx, r.session, tool, int64(turn*b.plan.Block+i)); err != nil {
					return err
				}
				samples[r] = append(samples[r], milliseconds(time.Since(began)))
			}
			return nil
		})
	}
	var floor latency
	for _, r := range b.runs {
		if r.Err != "" {
			continue
		}
		round := latency{P50: percentile(samples[r], 50), P99: percentile(samples[r], 99)}
		if r.Name == direct {
			floor = round
		}
		// The direct subject is the first, so that the floor is known here.
		round.Added = delta{P50: round.P50 - floor.P50, P99: round.P99 - floor.P99}
		if b.plan.KeepAll {
			round.All = samples[r]
		}
		*rounds(r) = append(*rounds(r), round)
	}
}

// load counts calls per second with many under way.
func (b *bench) load(ctx context.Context, r *run) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	cpu, began := cpuTime(r.session.pid()), time.Now()
	for range outstanding {
		group.Go(func() error {
			for n := next.Add(1); n <= int64(b.plan.Load); n = next.Add(1) {
				if err := echo(ctx, r.session, "echo", n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	took := time.Since(began)
	r.CallsPerSecond = append(r.CallsPerSecond, float64(b.plan.Load)/took.Seconds())
	if cpu = cpuTime(r.session.pid()) - cpu; cpu > 0 {
		r.CPUPerCall = append(r.CPUPerCall, float64(cpu.Microseconds())/float64(b.plan.Load))
	}
	return nil
}

// big measures one large result.
func (b *bench) big(ctx context.Context, r *run) error {
	began := time.Now()
	answer, err := r.session.call(ctx, "tools/call", fmt.Sprintf(`{"name":"big","arguments":{"n":%d}}`, b.plan.Bytes))
	if err != nil {
		return fmt.Errorf("calling big: %w", err)
	}
	took := time.Since(began)
	if len(answer) < b.plan.Bytes {
		return fmt.Errorf("calling big: %d bytes of %d arrived", len(answer), b.plan.Bytes)
	}
	r.Big = append(r.Big, milliseconds(took))
	return nil
}

// notifications counts what arrives of the notifications that a tool sends while it runs. That some are lost is a result,
// not a failure.
func (b *bench) notifications(ctx context.Context, r *run) error {
	log := r.session.notes()
	log.reset()
	began := time.Now()
	if err := callTool(ctx, r.session, "notify", fmt.Sprintf(`{"n":%d}`, b.plan.Notes), "done"); err != nil {
		return err
	}
	took := time.Since(began)
	early, _ := log.count()
	// What the bridge let its result overtake has a while more to arrive.
	for waited := time.Now(); time.Since(waited) < b.plan.Rest; time.Sleep(10 * time.Millisecond) {
		if n, _ := log.count(); n >= b.plan.Notes {
			break
		}
	}
	arrived, ordered := log.count()
	r.Notes = append(r.Notes, notes{MS: milliseconds(took), Arrived: arrived, Early: early, Ordered: ordered})
	return nil
}

// requests asks the remote how many HTTP requests it has had.
func (b *bench) requests(ctx context.Context) (int, error) {
	url := strings.TrimSuffix(b.url, remote.Path) + remote.RequestsPath
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("asking the remote: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64))
	n, parseErr := strconv.Atoi(string(body))
	return n, errors.Join(err, parseErr)
}
