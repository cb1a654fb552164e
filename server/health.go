package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/server/auth"
)

// Paths of the telemetry listener.
const (
	metricsPath = "/metrics"
	readyPath   = "/readyz"
)

// health says whether the server should get requests. It is safe for concurrent
// use.
type health struct {
	mu       sync.Mutex
	draining bool
	checks   []healthCheck
}

// healthCheck is one thing without which requests would fail.
type healthCheck struct {
	name string
	// check says what is wrong, in words for an operator's dashboard: it must not
	// quote addresses or errors of others. It answers at once.
	check func() error
	// upstream is one of several: it is enough that any of them works.
	upstream bool
}

func (h *health) add(name string, check func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, healthCheck{name: name, check: check})
}

// addUpstream adds an upstream, whose failure leaves the others to be used.
func (h *health) addUpstream(name string, check func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, healthCheck{"upstream " + name, check, true})
}

// drain makes the server not ready for good.
func (h *health) drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
}

var errDraining = errors.New("the server is stopping")

// state tells of each check what is wrong, nil where nothing is.
func (h *health) state() (ready bool, checks map[string]error) {
	h.mu.Lock()
	list, draining := h.checks, h.draining
	h.mu.Unlock()
	checks = map[string]error{"running": nil}
	if draining {
		checks["running"] = errDraining
	}
	ready = !draining
	upstreams, working := 0, 0
	for _, c := range list {
		err := c.check()
		checks[c.name] = err
		switch {
		case c.upstream && err == nil:
			upstreams, working = upstreams+1, working+1
		case c.upstream:
			upstreams++
		default:
			ready = ready && err == nil
		}
	}
	return ready && (working > 0 || upstreams == 0), checks
}

// healthz answers while the process runs: whoever restarts it must not do so
// because something else is down.
func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte("ok\n"))
}

// readyz answers 200 where requests would be served, else 503, with the reasons.
func (h *health) readyz(w http.ResponseWriter, _ *http.Request) {
	ready, checks := h.state()
	answer := struct {
		Ready  bool              `json:"ready"`
		Checks map[string]string `json:"checks"`
	}{ready, map[string]string{}}
	for name, err := range checks {
		answer.Checks[name] = "ok"
		if err != nil {
			answer.Checks[name] = err.Error()
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// telemetryServer serves operators' systems on an address of its own.
type telemetryServer struct {
	listener net.Listener
	http     *http.Server
	done     chan struct{}
}

// listenTelemetry begins to serve at once, on ln where the service manager
// passed one, so that readiness can be asked for before there is any.
func listenTelemetry(ctx context.Context, ln net.Listener, addr string, m *metrics, h *health) (*telemetryServer, error) {
	if ln == nil {
		var lc net.ListenConfig
		var err error
		if ln, err = lc.Listen(ctx, "tcp", addr); err != nil {
			return nil, fmt.Errorf("listening on %s for metrics: %w. Choose another address for telemetry.listen", addr, cause(err))
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+metricsPath, m.handler())
	mux.HandleFunc("GET "+healthPath, healthz)
	mux.HandleFunc("GET "+readyPath, h.readyz)
	// No web page has business here.
	pages := newPages(nil, loopbackAddr(ln.Addr().String()), func(w http.ResponseWriter, _ *http.Request, refusal *auth.Refusal) {
		http.Error(w, refusal.Description, refusal.Status)
	})
	t := &telemetryServer{listener: ln, done: make(chan struct{}), http: &http.Server{
		Handler: pages.hosted(pages.known(mux)), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}}
	go func() {
		defer close(t.done)
		_ = t.http.Serve(ln) // ends with close
	}()
	return t, nil
}

func (t *telemetryServer) close() {
	if t == nil {
		return
	}
	_ = t.http.Close()
	<-t.done
}
