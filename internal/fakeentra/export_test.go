package fakeentra

import "net/http"

// Handler lets fuzzers call in without a network: coverage that varies with
// goroutines leads them astray.
func (s *Server) Handler() http.Handler { return s.http.Handler }
