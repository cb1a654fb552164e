package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p/100*float64(len(sorted)))) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}

// median is the middle one of what of gives for each turn.
func median(turns []result, of func(result) float64) float64 {
	if len(turns) == 0 {
		return math.NaN()
	}
	values := make([]float64, len(turns))
	for i, r := range turns {
		values[i] = of(r)
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

func latency(p float64) func(result) float64 {
	return func(r result) float64 {
		return float64(percentile(slices.Sorted(slices.Values(r.latencies)), p).Microseconds()) / 1000
	}
}

func perSecond(r result) float64 { return r.perSecond }

func cpuMicros(r result) float64 { return float64(r.cpu.Nanoseconds()) / 1000 }

// writeTable writes the comparison as Markdown, and whether the aims of the project are met.
func writeTable(w io.Writer, subjects []*subject, clients []int) {
	fmt.Fprintln(w, "|upstream|subject|clients|requests/s|p50 ms|p99 ms|CPU µs/request|")
	fmt.Fprintln(w, "|-|-|-:|-:|-:|-:|-:|")
	for _, n := range clients {
		for _, s := range subjects {
			turns := s.results[n]
			fmt.Fprintf(w, "|%s|%s|%d|%.0f|%.2f|%.2f|%.0f|\n", s.group, s.name, n,
				median(turns, perSecond), median(turns, latency(50)), median(turns, latency(99)), median(turns, cpuMicros))
		}
	}
	fmt.Fprintln(w)
	for _, n := range clients {
		ours := median(turnsOf(subjects, "stdio", "mcpctl", n), perSecond)
		for _, peer := range []string{"supergateway", "mcp-proxy"} {
			if theirs := median(turnsOf(subjects, "stdio", peer, n), perSecond); !math.IsNaN(theirs) {
				fmt.Fprintf(w, "- %d clients, stdio: %.1f × the throughput of %s (aim: ≥ 10)\n", n, ours/theirs, peer)
			}
		}
		floor, cpu := median(turnsOf(subjects, "http", "reverse proxy", n), cpuMicros), median(turnsOf(subjects, "http", "mcpctl", n), cpuMicros)
		if !math.IsNaN(floor) {
			fmt.Fprintf(w, "- %d clients, HTTP: %.2f × the processor time of a reverse proxy (aim: ≤ 1.5)\n", n, cpu/floor)
		}
	}
}

func turnsOf(subjects []*subject, group, name string, clients int) []result {
	for _, s := range subjects {
		if s.group == group && s.name == name {
			return s.results[clients]
		}
	}
	return nil
}
