package server

import (
	"testing"

	"github.com/mcpctl/mcpctl/server/gateway"
)

// Nothing that clients make up becomes a label.
func TestLabelsAreBounded(t *testing.T) {
	m := newMetrics("test")
	for _, method := range []string{"tools/call", "made/up-1", "made/up-2", ""} {
		m.recorded(gateway.Record{Method: method, Outcome: gateway.OK})
		m.served(method, 200, 0)
	}
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := 0
	for _, f := range families {
		switch f.GetName() {
		case "mcpctl_requests_total":
			series += len(f.GetMetric())
			for _, s := range f.GetMetric() {
				for _, l := range s.GetLabel() {
					if l.GetName() == "method" && l.GetValue() != "tools/call" && l.GetValue() != "other" {
						t.Errorf("method %q", l.GetValue())
					}
				}
			}
		case "mcpctl_http_requests_total":
			series += len(f.GetMetric())
		}
	}
	if series != 3 {
		t.Errorf("%d series, want tools/call, other, and other of HTTP", series)
	}
}

// The nil metrics count nothing and cost nothing.
func TestNoMetrics(t *testing.T) {
	var m *metrics
	if n := testing.AllocsPerRun(100, func() {
		m.recorded(gateway.Record{Method: "tools/call"})
		m.served("GET", 200, 0)
		m.refused("scope")
		m.tokenJudged("cold")
		m.auditFailed()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
