package server

import (
	"context"
	"errors"
	"sync"
	"time"
)

// probe looks at an upstream when the server starts, so that an operator learns
// of a broken one before its first user does. One that fails is looked at again
// until it works; the server is not ready while none does.
type probe struct {
	name string
	look prober

	mu  sync.Mutex
	err error
}

// Pauses between the probes of an upstream that fails.
const (
	firstProbePause   = 5 * time.Second
	longestProbePause = time.Minute
)

var errProbe = errors.New("it could not be reached or started, or did not answer as it should; the log says why")

// failing is the upstream's part in whether the server is ready.
func (p *probe) failing() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *probe) set(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// addProbe makes Run probe an upstream.
func (s *Server) addProbe(name string, look prober) {
	p := &probe{name: name, look: look}
	s.probes = append(s.probes, p)
	s.health.addUpstream(name, p.failing)
}

// probeUpstreams probes all of them until each has answered once or ctx ends.
func (s *Server) probeUpstreams(ctx context.Context) {
	var all sync.WaitGroup
	for _, p := range s.probes {
		all.Go(func() { s.probeUntilFine(ctx, p) })
	}
	all.Wait()
}

func (s *Server) probeUntilFine(ctx context.Context, p *probe) {
	for pause := firstProbePause; ; pause = min(2*pause, longestProbePause) {
		seen, err := p.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			p.set(nil)
			s.log.Debug("the upstream works", "upstream", p.name, "remark", seen.remark)
			return
		}
		p.set(errProbe)
		s.log.Error("the upstream does not work", "upstream", p.name, "reason", err, "again_in", pause.String())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}
