package cmd

import (
	"runtime"
	"testing"
)

func TestHeapFloor(t *testing.T) {
	goal := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.NextGC
	}
	for _, tt := range []struct {
		name, variable string
		raised         bool
	}{
		{"as it is", "", true},
		{"with GOGC", "GOGC", false},
		{"with GOMEMLIMIT", "GOMEMLIMIT", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := goal()
			release := raiseHeapFloor(func(name string) string {
				if name == tt.variable {
					return "200"
				}
				return ""
			})
			after := goal()
			release()
			if raised := after >= before+heapFloor; raised != tt.raised {
				t.Errorf("the collector's goal went from %d to %d bytes; raised is %v, want %v", before, after, raised, tt.raised)
			}
		})
	}
}
