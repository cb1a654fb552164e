package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// frontCollector reports what the fronts hold when it is scraped, by transport.
type frontCollector func() map[string]wire.Stats

func frontDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("mcpctl_"+name, help, []string{"transport"}, nil)
}

var (
	sessionsDesc = frontDesc("sessions", "Open sessions.")
	openedDesc   = frontDesc("sessions_opened_total", "Sessions opened so far.")
	boundDesc    = frontDesc("sessions_refused_total", "Sessions and calls refused so far because of a bound.")
	streamsDesc  = frontDesc("streams", "HTTP answers that carry an event stream.")
	callsDesc    = frontDesc("calls", "Requests without a session that are worked on.")
	listensDesc  = frontDesc("listens", "Open subscriptions/listen.")
	pendingDesc  = frontDesc("pending_requests", "Requests without an answer yet.")
	heldDesc     = frontDesc("held_bytes", "Messages that wait to be sent.")
)

// Describe implements prometheus.Collector.
func (c frontCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sessionsDesc, openedDesc, boundDesc, streamsDesc, callsDesc, listensDesc, pendingDesc, heldDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c frontCollector) Collect(out chan<- prometheus.Metric) {
	for transport, st := range c() {
		for _, v := range []struct {
			desc  *prometheus.Desc
			kind  prometheus.ValueType
			value float64
		}{
			{sessionsDesc, prometheus.GaugeValue, float64(st.Sessions)},
			{openedDesc, prometheus.CounterValue, float64(st.Opened)},
			{boundDesc, prometheus.CounterValue, float64(st.Refused)},
			{streamsDesc, prometheus.GaugeValue, float64(st.Streams)},
			{callsDesc, prometheus.GaugeValue, float64(st.Calls)},
			{listensDesc, prometheus.GaugeValue, float64(st.Listens)},
			{pendingDesc, prometheus.GaugeValue, float64(st.Pending)},
			{heldDesc, prometheus.GaugeValue, float64(st.Bytes)},
		} {
			out <- prometheus.MustNewConstMetric(v.desc, v.kind, v.value, transport)
		}
	}
}
