package fakeentra

import "net/http"

// Handler lets fuzzers call in without a network: coverage that varies with
// goroutines leads them astray.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// FaultsMet counts the requests that active faults have met, also those that
// still wait.
func (s *Server) FaultsMet() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, f := range s.faults {
		n += f.met
	}
	return n
}
