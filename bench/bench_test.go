package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets the test binary play the other parts: the remote, and bridges that behave and misbehave.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == remoteMode {
		if err := serveRemote(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 3 && strings.HasPrefix(os.Args[1], "relay") {
		relay(os.Args[2], os.Args[1] == "relay-lossy")
		os.Exit(0)
	}
	if len(os.Args) == 2 && os.Args[1] == "crash" {
		fmt.Fprintln(os.Stderr, "no such profile")
		os.Exit(3)
	}
	goleak.VerifyTestMain(m)
}

// relay is the least that a bridge can be. A lossy one passes no notifications on.
func relay(url string, lossy bool) {
	session := dial(url)
	var writing sync.Mutex
	var calls sync.WaitGroup
	emit := func(line []byte) {
		writing.Lock()
		defer writing.Unlock()
		os.Stdout.Write(append(bytes.TrimRight(line, "\n"), '\n'))
	}
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			break
		}
		calls.Go(func() {
			resp, err := session.post(context.Background(), bytes.TrimSpace(line))
			if err != nil {
				return
			}
			defer resp.Body.Close()
			if id := resp.Header.Get("Mcp-Session-Id"); id != "" {
				session.id.Store(&id)
			}
			body := bufio.NewReader(resp.Body)
			for {
				data, err := body.ReadBytes('\n')
				event, isEvent := bytes.CutPrefix(data, []byte("data: "))
				if isEvent {
					data = event
				}
				if bytes.HasPrefix(data, []byte("{")) && !(lossy && bytes.Contains(data, []byte(`"seq":`))) {
					emit(data)
				}
				if err != nil {
					return
				}
			}
		})
	}
	calls.Wait()
}

// small measures everything, but little of it.
var small = plan{Starts: 2, Rounds: 2, Calls: 20, Block: 10, Load: 100, Big: 1, Bytes: 1 << 20, Notes: 50, Warmup: 2, Rest: 50 * time.Millisecond, KeepAll: true}

// measured measures these bridges, named by how the test binary plays them, beside direct HTTP.
func measured(t *testing.T, bridges ...string) map[string]*result {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	url, stop, err := startRemote(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	b := &bench{plan: small, url: url, progress: t.Output()}
	b.runs = append(b.runs, &run{result: result{subject: subject{Name: direct}}})
	for _, name := range bridges {
		argv := append([]string{self}, strings.Fields(name)...)
		b.runs = append(b.runs, &run{result: result{subject: subject{Name: name, Argv: argv, env: []string{"GORACE=atexit_sleep_ms=0"}}}})
	}
	b.measure(t.Context())
	results := map[string]*result{}
	for _, r := range b.runs {
		results[r.Name] = &r.result
	}
	return results
}

func TestMeasuresEverythingOfABridge(t *testing.T) {
	t.Parallel()
	results := measured(t, "relay {url}")
	for name, r := range results {
		if r.Err != "" {
			t.Errorf("%s failed: %s", name, r.Err)
			continue
		}
		if len(r.Initialize) != 2 || len(r.ToolsList) != 2 || len(r.CallsPerSecond) != 2 || len(r.Big) != 1 {
			t.Errorf("%s: %d starts, %d lists, %d loads, %d big results", name, len(r.Initialize), len(r.ToolsList), len(r.CallsPerSecond), len(r.Big))
		}
		for _, n := range r.RequestsBefore {
			if n != 1 {
				t.Errorf("%s needed %v requests before initialize was answered, want 1", name, n)
			}
		}
		for _, rounds := range [][]latency{r.Echo, r.EchoStream} {
			if len(rounds) != 2 || len(rounds[0].All) != 20 || rounds[0].P50 <= 0 || rounds[0].P99 < rounds[0].P50 {
				t.Errorf("%s: rounds are %+v", name, rounds)
			}
		}
		for _, n := range r.Notes {
			if n.Arrived != 50 || n.Early != 50 || !n.Ordered {
				t.Errorf("%s: notifications are %+v, want 50 in order", name, n)
			}
		}
	}
	if added := results[direct].Echo[0].Added; added != (delta{}) {
		t.Errorf("direct HTTP adds %+v to itself", added)
	}
}

func TestCountsWhatABridgeLoses(t *testing.T) {
	t.Parallel()
	r := measured(t, "relay-lossy {url}")["relay-lossy {url}"]
	if r.Err != "" || len(r.Notes) != 2 || r.Notes[0].Arrived != 0 {
		t.Errorf("error %q, notifications %+v; want none to arrive", r.Err, r.Notes)
	}
}

func TestBridgeThatDiesIsNamedAndTheOthersMeasured(t *testing.T) {
	t.Parallel()
	results := measured(t, "crash", "relay {url}")
	if got := results["crash"].Err; !strings.Contains(got, "no such profile") {
		t.Errorf("the crash is explained as %q, want what it wrote to stderr", got)
	}
	if r := results["relay {url}"]; r.Err != "" || len(r.Notes) != 2 {
		t.Errorf("the other bridge: error %q, notifications %+v", r.Err, r.Notes)
	}
}

func TestParseFindsTheIDAtEitherEnd(t *testing.T) {
	text := strings.Repeat("x", 20<<10)
	for name, raw := range map[string]string{
		"short": `{"id":12,"result":{}}`,
		"front": `{"jsonrpc":"2.0","id":12,"result":"` + text + `"}`,
		"back":  `{"result":"` + text + `","jsonrpc":"2.0", "id": 12}`,
	} {
		if env, err := parse([]byte(raw)); err != nil || string(env.ID) != "12" || env.Method != "" {
			t.Errorf("%s: got %s, %v", name, env.ID, err)
		}
	}
	if _, err := parse([]byte(`{"result":"` + text + `"}`)); err == nil {
		t.Error("a long message without an id was taken")
	}
}

func TestPercentile(t *testing.T) {
	values := []float64{5, 1, 4, 2, 3}
	for p, want := range map[float64]float64{0: 1, 50: 3, 99: 5, 100: 5} {
		if got := percentile(values, p); got != want {
			t.Errorf("percentile %v is %v, want %v", p, got, want)
		}
	}
	if !math.IsNaN(percentile(nil, 50)) {
		t.Error("nothing has a median")
	}
}

func TestTable(t *testing.T) {
	results := []*result{
		{subject: subject{Name: direct}, Initialize: []float64{1}, CallsPerSecond: []float64{20000}},
		{subject: subject{Name: product}, Initialize: []float64{10, 12, 14}, CallsPerSecond: []float64{5000}, IdleRSS: 12e6},
		{subject: subject{Name: "other", Version: "1.2"}, Initialize: []float64{240}, CallsPerSecond: []float64{1000}, Err: "went away"},
		{subject: subject{Name: "worse"}, Initialize: []float64{480}, CallsPerSecond: []float64{500}},
	}
	var out strings.Builder
	writeTable(&out, small, results)
	for _, want := range []string{
		"||direct|mcpctl|other 1.2|worse|best other ÷ mcpctl|aim|\n|-|-|-|-|-|-|-|\n",
		"answered, ms (range)|1 (1–1)|12 (10–14)|240 (240–240)|480 (480–480)|20×|< 20 met|\n",
		"|calls/s, 32 outstanding|20000|5000|1000|500|5×|> 8000 **missed**|\n",
		"|idle RSS, MB|–|12|–|–|–|< 15 met|\n",
		"\nother failed: went away\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q isn't in the table:\n%s", want, out.String())
		}
	}
}

func TestAddedSubject(t *testing.T) {
	s, err := addedSubject("mine=/opt/relay --to {url}")
	if err != nil || s.Name != "mine" || strings.Join(s.Argv, " ") != "/opt/relay --to {url}" {
		t.Errorf("got %+v, %v", s, err)
	}
	for _, bad := range []string{"", "mine", "=x", "mine="} {
		if _, err := addedSubject(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
