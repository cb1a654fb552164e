package main

import (
	"math"
	"slices"
	"time"
)

// A result is all that was measured of one subject. Times are in milliseconds, one value a start, round or repeat.
type result struct {
	subject
	Err string `json:"error,omitempty"` // what went wrong; nothing was measured after it

	Initialize     []float64 `json:"initialize_ms,omitempty"`    // from spawn until initialize is answered
	ToolsList      []float64 `json:"tools_list_ms,omitempty"`    // from spawn until tools/list is answered
	RequestsBefore []float64 `json:"requests_before_initialize"` // HTTP requests that the remote had by then
	Echo           []latency `json:"echo,omitempty"`             // plain JSON answers
	EchoStream     []latency `json:"echo_stream,omitempty"`      // answers as an event stream
	CallsPerSecond []float64 `json:"calls_per_second,omitempty"` // with 32 outstanding
	CPUPerCall     []float64 `json:"cpu_us_per_call,omitempty"`  // during the same, microseconds
	Big            []float64 `json:"big_result_ms,omitempty"`    // a result of 10 MB
	Notes          []notes   `json:"notifications,omitempty"`    // 1,000 of them
	IdleRSS        int64     `json:"idle_rss_bytes,omitempty"`   // after a second without calls
	PeakRSS        int64     `json:"peak_rss_bytes,omitempty"`   // after everything
	LoadedRSS      int64     `json:"after_load_rss_bytes,omitempty"`
}

// latency is one round of calls, one after the other.
type latency struct {
	P50   float64   `json:"p50_ms"`
	P99   float64   `json:"p99_ms"`
	Added delta     `json:"added"` // over direct HTTP in the same round
	All   []float64 `json:"all_ms,omitempty"`
}

type delta struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
}

type notes struct {
	MS      float64 `json:"ms"`
	Arrived int     `json:"arrived"`
	Early   int     `json:"before_result"` // as the order of the server demands
	Ordered bool    `json:"in_order"`
}

// percentile returns the nearest-rank percentile p (0 to 100) of values, NaN of none.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p/100*float64(len(sorted)))) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}

func median(values []float64) float64 { return percentile(values, 50) }

// medianOf is the median of one number of each item.
func medianOf[T any](items []T, number func(T) float64) float64 {
	values := make([]float64, len(items))
	for i, item := range items {
		values[i] = number(item)
	}
	return median(values)
}

func milliseconds(d time.Duration) float64 {
	return math.Round(d.Seconds()*1e6) / 1e3
}
