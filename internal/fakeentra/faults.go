package fakeentra

import (
	"net/http"
	"slices"
	"time"
)

// Fault is a scripted misfortune: which requests it meets and what becomes of
// them. The Fault… functions make the ones that Entra and networks are known
// for; they meet every matching request until [Server.ClearFaults]. Use
// [Fault.For] to limit how often:
//
//	srv.Inject(fakeentra.FaultThrottled(3 * time.Second).For(2))
type Fault struct {
	Name string // for the request log

	// Which requests. Empty fields match everything.
	Endpoint Endpoint
	Method   string
	Grant    string // one of the Grant… names
	ClientID string
	Skip     int // let that many matching requests pass first
	Times    int // then meet that many; 0 is without limit

	// What becomes of them: a wait, then the first of the following that is set.
	// With none set the request goes its usual way after the wait.
	Delay  time.Duration
	Drop   bool   // close the connection without an answer
	Error  *Error // Entra's error body, or its error page where a person looks
	Status int    // a raw answer, with ContentType and Body
	Edit   func(reply map[string]any)

	Header      http.Header // added to the answer
	ContentType string
	Body        string
}

// For returns the fault limited to n requests.
func (f Fault) For(n int) Fault {
	f.Times = n
	return f
}

// After returns the fault letting n matching requests pass first.
func (f Fault) After(n int) Fault {
	f.Skip = n
	return f
}

// At returns the fault meeting one grant at the token endpoint only.
func (f Fault) At(grant string) Fault {
	f.Endpoint, f.Grant = EndpointToken, grant
	return f
}

type activeFault struct {
	Fault
	seen, met int
}

// Inject adds faults behind those that are active. A request meets at most one
// fault, the first that matches.
func (s *Server) Inject(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		s.faults = append(s.faults, &activeFault{Fault: f})
	}
}

// ClearFaults removes all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// takeFault finds the fault that the request meets, if any, and counts it.
func (s *Server) takeFault(r Request) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if !f.matches(r) {
			continue
		}
		if f.seen++; f.seen <= f.Skip {
			continue
		}
		if f.met++; f.met == f.Times {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
		return &f.Fault
	}
	return nil
}

func (f *Fault) matches(r Request) bool {
	return (f.Endpoint == "" || f.Endpoint == r.Endpoint) &&
		(f.Method == "" || f.Method == r.Method) &&
		(f.Grant == "" || f.Grant == r.Grant) &&
		(f.ClientID == "" || f.ClientID == r.ClientID)
}

// applyFault lets the request meet its fault and reports whether that answered
// it.
func (x *exchange) applyFault() bool {
	f := x.s.takeFault(x.entry)
	if f == nil {
		return false
	}
	x.entry.Fault = f.Name
	if f.Delay > 0 {
		x.wait(f.Delay)
	}
	if f.Drop || x.r.Context().Err() != nil {
		x.record(0)
		panic(http.ErrAbortHandler) // makes net/http close the connection
	}
	for name, values := range f.Header {
		x.w.Header()[name] = values
	}
	switch {
	case f.Error != nil:
		x.refuse(f.Error)
	case f.Status != 0:
		x.write(f.Status, f.ContentType, []byte(f.Body))
	default:
		x.fault = f
		return false
	}
	return true
}

// wait returns early if the client goes away or the server closes.
func (x *exchange) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-x.r.Context().Done():
	}
}

// edited lets the fault change a token response.
func (x *exchange) edited(reply map[string]any) map[string]any {
	if x.fault != nil && x.fault.Edit != nil {
		x.fault.Edit(reply)
	}
	return reply
}
