package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Members of _meta that stateless requests carry (MCP 2026-07-28).
const (
	metaVersion      = "io.modelcontextprotocol/protocolVersion"
	metaClient       = "io.modelcontextprotocol/clientInfo"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
)

// hub is the upstream connection that the stateless calls of one principal with
// the same revision and capabilities share. Ids and progress tokens are
// replaced on the way, since different clients use the same ones.
type hub struct {
	key    string
	log    *slog.Logger
	remote wire.Remote

	mu    sync.Mutex
	last  int64
	calls map[string]*hubCall  // by the id that the upstream knows
	tools map[string]*mcp.Tool // those that mirror arguments in headers, as last shown
}

// hubCall is one stateless call.
type hubCall struct {
	to       *wire.Call
	id       wire.ID // the client's
	progress wire.ID // the client's token, nil for none
	settle   func(f wire.Frame) wire.Frame
	answered bool
	over     bool           // its exchange has ended: nothing is delivered any more
	handing  sync.WaitGroup // deliveries under way; added to under hub.mu until over
}

type hubCallKey struct{}

// hubs are a gateway's hubs. One that is not used for hubIdle is ended.
type hubs struct {
	mu     sync.Mutex
	open   map[string]*hubUse
	closed bool
	ending sync.WaitGroup
}

type hubUse struct {
	ready chan struct{} // closed once hub or err is set
	hub   *hub
	err   error
	users int
	idle  *time.Timer
}

const (
	hubIdle = 5 * time.Minute
	maxHubs = 10_000
)

var errTooManyHubs = errors.New("too many clients")

// Stateless works on one message of MCP 2026-07-28; it is
// wire.FrontOptions.Stateless.
func (g *Gateway) Stateless(ctx context.Context, c *wire.Call) {
	key := g.hubKey(ctx, c.Version, c.Frame)
	use, err := g.acquireHub(ctx, key)
	if err != nil {
		g.opts.Logger.Error("the upstream could not be opened", "reason", err)
		_ = c.Write(ctx, wire.NewError(c.Frame.ID, CodeUpstream, "The MCP server behind this gateway could not be started. Its operator finds the reason in the gateway's log.", nil))
		return
	}
	defer g.releaseHub(key, use)
	if c.Frame.Kind != wire.Request {
		if err := use.hub.remote.Exchange(ctx, c.Frame); err != nil {
			use.hub.log.Debug("a notification could not be passed on", "reason", err)
		}
		return
	}
	g.call(ctx, use.hub, c)
}

// hubKey says which calls may share an upstream connection.
func (g *Gateway) hubKey(ctx context.Context, version string, f wire.Frame) string {
	hash := sha256.New()
	for _, part := range [][]byte{
		[]byte(g.opts.Steps.owner(ctx)), []byte(version), wire.Lookup(f.Raw, "params", "_meta", metaCapabilities),
	} {
		_, _ = fmt.Fprintf(hash, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

func (s Steps) owner(ctx context.Context) string {
	if s.Owner == nil {
		return ""
	}
	return s.Owner(ctx)
}

// call runs one request: it is recorded like any other.
func (g *Gateway) call(ctx context.Context, h *hub, c *wire.Call) {
	params := wire.Lookup(c.Frame.Raw, "params")
	started := time.Now()
	record := Record{Method: c.Frame.Method, Target: target(params), BytesIn: len(c.Frame.Raw), Outcome: Unanswered}
	if record.Method == "tools/call" || record.Method == "prompts/get" {
		record.Arguments = wire.Lookup(params, "arguments")
	}
	ctx, evidence := WithEvidence(ctx)
	record.Evidence = evidence
	recorded := false
	// settle leaves evidence of an answer before it is written.
	settle := func(f wire.Frame) wire.Frame {
		recorded = true
		record.Duration, record.BytesOut = time.Since(started), len(f.Raw)
		record.Outcome = outcomeOf(record.Method, f, evidence)
		if err := g.record(ctx, record); err != nil {
			return withheld(c.Frame.ID)
		}
		return f
	}
	err := h.exchange(ctx, c, settle)
	switch {
	case recorded:
	case ctx.Err() != nil:
		record.Duration, record.Outcome = time.Since(started), Unanswered
		if errors.Is(context.Cause(ctx), wire.ErrDisconnected) {
			record.Outcome = Cancelled // closing the stream says so in this revision
		}
		_ = g.record(context.WithoutCancel(ctx), record) // logged; there is nobody to tell
	default:
		if err == nil {
			err = wire.ErrNoAnswer
		}
		h.log.Warn("the upstream did not answer", "method", c.Frame.Method, "reason", err)
		noteCrowded(evidence, err)
		refusal, answer := explain(c.Frame.ID, err, false)
		if settled := settle(answer); refusal != nil && bytes.Equal(settled.Raw, answer.Raw) {
			_ = c.Refuse(ctx, *refusal)
		} else {
			_ = c.Write(ctx, settled)
		}
	}
}

func outcomeOf(method string, f wire.Frame, e *Evidence) Outcome {
	switch denied, _ := e.Decision(); {
	case denied:
		return Denied
	case f.Failed:
		return Failed
	case method == "tools/call" && string(wire.Lookup(f.Raw, "result", "isError")) == "true":
		return ToolError
	}
	return OK
}

func (g *Gateway) record(ctx context.Context, r Record) error {
	if g.opts.Record == nil {
		return nil
	}
	err := g.opts.Record(ctx, r)
	if err != nil {
		g.opts.Logger.Error("the audit record could not be written", "method", r.Method, "outcome", r.Outcome, "reason", err)
	}
	return err
}

// exchange sends a call under an id of the hub's own.
func (h *hub) exchange(ctx context.Context, c *wire.Call, settle func(wire.Frame) wire.Frame) error {
	call := &hubCall{to: c, id: wire.ID(bytes.Clone(c.Frame.ID)), settle: settle}
	if token := wire.Lookup(c.Frame.Raw, "params", "_meta", "progressToken"); token != nil {
		call.progress = wire.ID(bytes.Clone(token))
	}
	h.mu.Lock()
	h.last++
	id := wire.ID(strconv.FormatInt(h.last, 10))
	h.calls[string(id)] = call
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.calls, string(id))
		call.over = true
		h.mu.Unlock()
		// An upstream that is a process may deliver while the client goes away. What
		// is delivered, recorded above all, uses the request's bytes.
		call.handing.Wait()
	}()
	changes := []change{set(id, "id")}
	if call.progress != nil {
		changes = append(changes, set(id, "params", "_meta", "progressToken"))
	}
	return h.remote.Exchange(context.WithValue(ctx, hubCallKey{}, call), changed(c.Frame, changes...))
}

// deliver hands what comes from the upstream to the call it belongs to, under
// the client's own id and tokens.
func (h *hub) deliver(ctx context.Context, f wire.Frame) error {
	call, _ := ctx.Value(hubCallKey{}).(*hubCall)
	h.mu.Lock()
	switch {
	case f.Kind == wire.Response:
		if call = h.calls[f.ID.Key()]; call != nil && call.answered {
			call = nil
		} else if call != nil {
			call.answered = true
		}
	case f.Method == "notifications/progress":
		call = h.calls[wire.ID(wire.Lookup(f.Raw, "params", "progressToken")).Key()]
	case call == nil:
		call = h.calls[wire.ID(wire.Lookup(f.Raw, "params", "_meta", metaSubscription)).Key()]
	}
	if call != nil && call.over {
		call = nil
	}
	if call != nil {
		call.handing.Add(1)
		defer call.handing.Done()
	}
	h.mu.Unlock()
	if call == nil {
		h.log.Debug("a message of the upstream that belongs to no call was dropped", "method", f.Method)
		return nil
	}
	if f.Kind == wire.Response && !f.Failed && call.to.Frame.Method == "tools/list" {
		h.learn(call.to.Frame, f)
	}
	var err error
	switch {
	case f.Kind == wire.Response:
		err = call.to.Write(ctx, call.settle(changed(f, set(call.id, "id"), set(call.id, "result", "_meta", metaSubscription))))
	case f.Method == "notifications/progress" && call.progress != nil:
		err = call.to.Write(ctx, changed(f, set(call.progress, "params", "progressToken")))
	default:
		err = call.to.Write(ctx, changed(f, set(call.id, "params", "_meta", metaSubscription)))
	}
	if err != nil {
		h.log.Debug("a message was lost", "reason", err) // its client has gone
	}
	return nil
}

// acquireHub returns the hub with the key, opening it for the first who asks.
func (g *Gateway) acquireHub(ctx context.Context, key string) (*hubUse, error) {
	hs := &g.hubs
	hs.mu.Lock()
	if hs.closed {
		hs.mu.Unlock()
		return nil, wire.ErrClosed
	}
	if hs.open == nil {
		hs.open = map[string]*hubUse{}
	}
	use := hs.open[key]
	if use != nil {
		use.users++
		if use.idle != nil {
			use.idle.Stop()
		}
		hs.mu.Unlock()
		select {
		case <-use.ready:
		case <-ctx.Done():
			g.releaseHub(key, use)
			return nil, ctx.Err()
		}
		if use.err != nil {
			g.releaseHub(key, use)
			return nil, use.err
		}
		return use, nil
	}
	if len(hs.open) >= maxHubs {
		hs.mu.Unlock()
		return nil, fmt.Errorf("%w: %d are served", errTooManyHubs, maxHubs)
	}
	use = &hubUse{ready: make(chan struct{}), users: 1}
	hs.open[key] = use
	hs.mu.Unlock()

	h := &hub{key: key, log: g.opts.Logger, calls: map[string]*hubCall{}}
	h.remote, use.err = g.dialer(context.WithoutCancel(ctx), func(err error) {
		g.opts.Logger.Error("the upstream ended", "reason", err)
		g.forgetHub(key, use)
	})(h.deliver)
	use.hub = h
	close(use.ready)
	if use.err != nil {
		g.forgetHub(key, use)
		return nil, use.err
	}
	return use, nil
}

// forgetHub makes the next call open a new hub.
func (g *Gateway) forgetHub(key string, use *hubUse) {
	g.hubs.mu.Lock()
	defer g.hubs.mu.Unlock()
	if g.hubs.open[key] == use {
		delete(g.hubs.open, key)
	}
}

// releaseHub ends one use. The hub itself ends when it is idle for long, or at
// once where it was forgotten.
func (g *Gateway) releaseHub(key string, use *hubUse) {
	g.hubs.mu.Lock()
	defer g.hubs.mu.Unlock()
	use.users--
	if use.users > 0 || use.hub == nil || use.err != nil {
		return
	}
	if g.hubs.open[key] != use || g.hubs.closed {
		g.endHub(use)
		return
	}
	use.idle = time.AfterFunc(hubIdle, func() {
		g.hubs.mu.Lock()
		defer g.hubs.mu.Unlock()
		if use.users == 0 && g.hubs.open[key] == use {
			delete(g.hubs.open, key)
			g.endHub(use)
		}
	})
}

// endHub ends a hub in the background; hubs.mu is held.
func (g *Gateway) endHub(use *hubUse) {
	g.hubs.ending.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := use.hub.remote.End(ctx); err != nil {
			use.hub.log.Debug("ending an upstream connection", "reason", err)
		}
	})
}

// Close ends what the gateway holds for stateless clients. The fronts have to be
// closed before.
func (g *Gateway) Close() error {
	g.hubs.mu.Lock()
	g.hubs.closed = true
	for key, use := range g.hubs.open {
		if use.idle != nil {
			use.idle.Stop()
		}
		if use.users == 0 && use.hub != nil {
			delete(g.hubs.open, key)
			g.endHub(use)
		}
	}
	g.hubs.mu.Unlock()
	g.hubs.ending.Wait()
	return nil
}
