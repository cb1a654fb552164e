package server

import (
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/gateway"
)

// metrics are what Prometheus scrapes. The nil metrics count nothing. No label
// names a caller, a tenant, a tool or anything else that a client chooses.
type metrics struct {
	registry *prometheus.Registry

	http      *prometheus.CounterVec
	httpTime  prometheus.Histogram
	requests  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	bytes     *prometheus.CounterVec
	refusals  *prometheus.CounterVec
	denials   *prometheus.CounterVec
	cacheHits prometheus.Counter
	verified  *prometheus.CounterVec
	keys      *prometheus.CounterVec
	audit     prometheus.Counter
	reloads   *prometheus.CounterVec
	reloaded  prometheus.Gauge
	upstreams *prometheus.CounterVec
}

// knownMethods are the request methods that get a label of their own; clients
// can make up any number of others.
var knownMethods = []string{
	"initialize", "ping", "tools/list", "tools/call", "prompts/list", "prompts/get", "resources/list", "resources/read",
	"resources/templates/list", "resources/subscribe", "resources/unsubscribe", "completion/complete", "logging/setLevel",
	"server/discover", "subscriptions/listen", "tasks/get", "tasks/list", "tasks/result", "tasks/cancel", "tasks/update",
}

var knownHTTPMethods = []string{http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodOptions, http.MethodHead}

func known(list []string, s string) string {
	if slices.Contains(list, s) {
		return s
	}
	return "other"
}

// durationBuckets go from what the cache answers to what a person waits for.
var durationBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}

func newMetrics(version string) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mcpctl_" + name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	m.http = counter("http_requests_total", "HTTP requests, by method and class of status.", "method", "status")
	m.httpTime = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "mcpctl_http_request_duration_seconds",
		Help: "How long HTTP requests took; an event stream takes as long as it is open.", Buckets: durationBuckets})
	m.requests = counter("requests_total", "MCP requests of clients, by method and how they ended.", "method", "outcome")
	m.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "mcpctl_request_duration_seconds",
		Help: "From the arrival of an MCP request to its answer.", Buckets: durationBuckets}, []string{"method"})
	m.bytes = counter("message_bytes_total", "Size of MCP requests (in) and their answers (out).", "direction")
	m.refusals = counter("refusals_total", "HTTP requests that were not let in, by the rule that they broke.", "rule")
	m.denials = counter("denials_total", "MCP requests that were let in and denied: by a policy, a rate limit or a limit of requests at a time.", "reason")
	m.cacheHits = counter("cache_hits_total", "MCP requests that were answered with a kept result.").WithLabelValues()
	m.verified = counter("token_verifications_total", "Tokens that were judged: seen before (cached), examined (cold), refused, or not decidable (unavailable).", "result")
	m.keys = counter("key_refreshes_total", "Attempts to fetch the authority's signing keys.", "outcome")
	m.audit = counter("audit_failures_total", "Audit records that could not be written.").WithLabelValues()
	m.reloads = counter("config_reloads_total", "Attempts to take over a changed configuration.", "outcome")
	m.upstreams = counter("upstream_starts_total", "Upstream processes that were started, and that failed to.", "upstream", "outcome")
	m.reloaded = prometheus.NewGauge(prometheus.GaugeOpts{Name: "mcpctl_config_last_reload_success_timestamp_seconds",
		Help: "When the configuration in force was taken over."})
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "mcpctl_build_info", Help: "1, with the version as a label."}, []string{"version", "goversion"})
	info.WithLabelValues(version, runtime.Version()).Set(1)
	m.registry.MustRegister(m.httpTime, m.duration, m.reloaded, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// Alerts compare with what was there before: these begin at 0.
	for _, result := range []string{"cached", "cold", "refused", "unavailable"} {
		m.verified.WithLabelValues(result)
	}
	for _, outcome := range []string{"ok", "failed"} {
		m.keys.WithLabelValues(outcome)
		m.reloads.WithLabelValues(outcome)
	}
	m.reloaded.SetToCurrentTime()
	return m
}

// fronts adds gauges of what the fronts hold.
func (m *metrics) fronts(stats func() map[string]wire.Stats) {
	if m == nil {
		return
	}
	m.registry.MustRegister(frontCollector(stats))
}

// handler serves the metrics.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// served counts an HTTP request.
func (m *metrics) served(method string, status int, took time.Duration) {
	if m == nil {
		return
	}
	m.http.WithLabelValues(known(knownHTTPMethods, method), strconv.Itoa(status/100)+"xx").Inc()
	m.httpTime.Observe(took.Seconds())
}

// recorded counts a request that has ended, with what was decided about it.
func (m *metrics) recorded(r gateway.Record) {
	if m == nil {
		return
	}
	method := known(knownMethods, r.Method)
	m.requests.WithLabelValues(method, string(r.Outcome)).Inc()
	m.duration.WithLabelValues(method).Observe(r.Duration.Seconds())
	m.bytes.WithLabelValues("in").Add(float64(r.BytesIn))
	m.bytes.WithLabelValues("out").Add(float64(r.BytesOut))
	if _, cached := r.Evidence.Route(); cached {
		m.cacheHits.Inc()
	}
	if denied, rule := r.Evidence.Decision(); denied {
		m.denials.WithLabelValues(reasonOf(rule)).Inc()
	}
}

// reasonOf is a label for the rule that denied: policies have any number.
func reasonOf(rule string) string {
	switch rule {
	case "rate-limit", "concurrency-limit", "process-limit":
		return rule
	}
	return "policy"
}

func (m *metrics) refused(rule string) {
	if m != nil {
		m.refusals.WithLabelValues(rule).Inc()
	}
}

func (m *metrics) auditFailed() {
	if m != nil {
		m.audit.Inc()
	}
}

func (m *metrics) reloadEnded(err error) {
	if m == nil {
		return
	}
	m.reloads.WithLabelValues(outcomeOf(err)).Inc()
	if err == nil {
		m.reloaded.SetToCurrentTime()
	}
}

func outcomeOf(err error) string {
	if err != nil {
		return "failed"
	}
	return "ok"
}

// tokenJudged counts a verification; result is cached, cold, refused or
// unavailable.
func (m *metrics) tokenJudged(result string) {
	if m != nil {
		m.verified.WithLabelValues(result).Inc()
	}
}

func (m *metrics) keysFetched(err error) {
	if m != nil {
		m.keys.WithLabelValues(outcomeOf(err)).Inc()
	}
}

func (m *metrics) upstreamStarted(name string, err error) {
	if m != nil {
		m.upstreams.WithLabelValues(name, outcomeOf(err)).Inc()
	}
}

// processes adds a gauge of an upstream's processes.
func (m *metrics) processes(upstream string, running func() int) {
	if m == nil {
		return
	}
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "mcpctl_upstream_processes", Help: "Upstream processes that run.", ConstLabels: prometheus.Labels{"upstream": upstream},
	}, func() float64 { return float64(running()) }))
}
