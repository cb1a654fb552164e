package main

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// A row is one line of the table.
type row struct {
	name   string
	value  func(*result) float64 // what the subjects are compared by; NaN: not measured
	text   func(*result) string  // nil: value, rounded
	higher bool                  // more is better
	aim    func(float64) (bool, string)
}

func below(limit float64) func(float64) (bool, string) {
	return func(v float64) (bool, string) { return v < limit, fmt.Sprintf("< %g", limit) }
}

func above(limit float64) func(float64) (bool, string) {
	return func(v float64) (bool, string) { return v > limit, fmt.Sprintf("> %g", limit) }
}

func added(rounds func(*result) []latency, of func(delta) float64) func(*result) float64 {
	return func(r *result) float64 {
		return medianOf(rounds(r), func(l latency) float64 { return of(l.Added) })
	}
}

func rows(p plan) []row {
	p50 := func(d delta) float64 { return d.P50 }
	p99 := func(d delta) float64 { return d.P99 }
	plain := func(r *result) []latency { return r.Echo }
	stream := func(r *result) []latency { return r.EchoStream }
	notesMS := func(r *result) float64 { return medianOf(r.Notes, func(n notes) float64 { return n.MS }) }
	return []row{
		{name: "spawn → `initialize` answered, ms (range)", value: func(r *result) float64 { return median(r.Initialize) }, text: func(r *result) string {
			return fmt.Sprintf("%s (%s–%s)", short(median(r.Initialize)), short(percentile(r.Initialize, 0)), short(percentile(r.Initialize, 100)))
		}, aim: below(20)},
		{name: "spawn → `tools/list` answered, ms", value: func(r *result) float64 { return median(r.ToolsList) }},
		{name: "HTTP requests before `initialize` is answered", value: func(r *result) float64 { return median(r.RequestsBefore) }},
		{name: "added round trip p50, ms", value: added(plain, p50), aim: below(0.2)},
		{name: "added round trip p99, ms", value: added(plain, p99), aim: below(1)},
		{name: "added round trip p50, event stream, ms", value: added(stream, p50)},
		{name: "added round trip p99, event stream, ms", value: added(stream, p99)},
		{name: fmt.Sprintf("calls/s, %d outstanding", outstanding), value: func(r *result) float64 { return median(r.CallsPerSecond) }, higher: true, aim: above(8000)},
		{name: "processor time a call, µs", value: func(r *result) float64 { return median(r.CPUPerCall) }},
		{name: fmt.Sprintf("result of %g MB, ms", float64(p.Bytes)/1e6), value: func(r *result) float64 { return median(r.Big) }},
		{name: fmt.Sprintf("%d notifications, ms; arrived", p.Notes), value: notesMS, text: func(r *result) string {
			worst := p.Notes
			note := ""
			for _, n := range r.Notes {
				worst = min(worst, n.Arrived)
				if n.Arrived > 0 && (!n.Ordered || n.Early < n.Arrived) {
					note = ", out of order"
				}
			}
			return fmt.Sprintf("%s; %d%s", short(notesMS(r)), worst, note)
		}},
		{name: "idle RSS, MB", value: func(r *result) float64 { return megabytes(r.IdleRSS) }, aim: below(15)},
		{name: "peak RSS, MB", value: func(r *result) float64 { return megabytes(r.PeakRSS) }},
	}
}

// writeTable writes the comparison as Markdown: a row a measurement, a column a subject, and how far mcpctl is ahead of the
// best of the others.
func writeTable(w io.Writer, p plan, results []*result) {
	header := []string{""}
	for _, r := range results {
		header = append(header, strings.TrimSpace(r.Name+" "+r.Version))
	}
	header = append(header, "best other ÷ "+product, "aim")
	line := func(cells []string) { fmt.Fprintf(w, "|%s|\n", strings.Join(cells, "|")) }
	line(header)
	line(strings.Split(strings.Repeat("-", len(header)), ""))
	for _, row := range rows(p) {
		cells := []string{row.name}
		for _, r := range results {
			cells = append(cells, row.cell(r))
		}
		line(append(cells, row.ratio(results), row.verdict(results)))
	}
	for _, r := range results {
		if r.Err != "" {
			fmt.Fprintf(w, "\n%s failed: %s\n", r.Name, r.Err)
		}
	}
}

func (row row) cell(r *result) string {
	switch v := row.value(r); {
	case math.IsNaN(v):
		return "–"
	case row.text != nil:
		return row.text(r)
	default:
		return short(v)
	}
}

// ratio says how many times better mcpctl is than the best bridge beside it: below 1 it is worse.
func (row row) ratio(results []*result) string {
	ours, best := math.NaN(), math.NaN()
	for _, r := range results {
		switch v := row.value(r); {
		case math.IsNaN(v) || r.Name == direct:
		case r.Name == product:
			ours = v
		case math.IsNaN(best) || row.higher == (v > best):
			best = v
		}
	}
	factor := best / ours
	if row.higher {
		factor = ours / best
	}
	if math.IsNaN(factor) || math.IsInf(factor, 0) || factor <= 0 {
		return "–"
	}
	return short(factor) + "×"
}

func (row row) verdict(results []*result) string {
	if row.aim == nil {
		return ""
	}
	for _, r := range results {
		if v := row.value(r); r.Name == product && !math.IsNaN(v) {
			met, aim := row.aim(v)
			return aim + map[bool]string{true: " met", false: " **missed**"}[met]
		}
	}
	_, aim := row.aim(0)
	return aim
}

func megabytes(bytes int64) float64 {
	if bytes == 0 {
		return math.NaN()
	}
	return float64(bytes) / 1e6
}

// short renders a number with three digits or so.
func short(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case a >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
