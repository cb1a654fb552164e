package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// note remembers a request until it is answered.
func (r *relay) note(in wire.Incoming) *request {
	params := wire.Lookup(in.Raw, "params")
	q := &request{
		id:       wire.ID(bytes.Clone(in.ID)),
		progress: wire.ID(wire.Lookup(params, "_meta", "progressToken")).Key(),
		started:  time.Now(),
		args:     in.Retain(),
		record: Record{
			Session: r.client.ID(),
			Method:  in.Method,
			Target:  target(params),
			BytesIn: len(in.Raw),
		},
	}
	if in.Method == "tools/call" || in.Method == "prompts/get" {
		q.record.Arguments = wire.Lookup(params, "arguments")
	}
	q.ctx, q.evidence = WithEvidence(context.WithValue(context.WithoutCancel(in.Request), requestKey{}, q))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[in.ID.Key()] = q
	if q.progress != "" {
		r.progress[q.progress] = q
	}
	return q
}

// requestKey is the key under which the context of an exchange has its request.
type requestKey struct{}

// target is what a request names, for its record: of a subscriptions/listen all
// the resources.
func target(params []byte) string {
	if name := wire.LookupString(params, "name"); name != "" {
		return name
	}
	if uri := wire.LookupString(params, "uri"); uri != "" {
		return uri
	}
	var uris []string
	if json.Unmarshal(wire.Lookup(params, "notifications", "resourceSubscriptions"), &uris) != nil {
		return ""
	}
	return strings.Join(uris, " ")
}

// take removes and returns the open request with the id, nil where there is none.
func (r *relay) take(id wire.ID) *request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.takeLocked(id.Key())
}

func (r *relay) takeLocked(key string) *request {
	q := r.open[key]
	delete(r.open, key)
	if q != nil && r.progress[q.progress] == q {
		delete(r.progress, q.progress)
	}
	return q
}

// takeAll removes and returns all open requests, the oldest first.
func (r *relay) takeAll() []*request {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*request
	for key := range r.open {
		all = append(all, r.takeLocked(key))
	}
	slices.SortFunc(all, func(a, b *request) int { return a.started.Compare(b.started) })
	return all
}

// related returns the id of the request that a message from the upstream
// belongs to, nil for none. Some transports tell; an upstream on stdio says so
// for progress only. Where a single request is open, anything else is taken to
// belong to it, as its stream is the one that clients surely read (MCP 2025-11-25,
// basic/transports: related messages go on the request's stream).
func (r *relay) related(in wire.Incoming) wire.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in.Method == "notifications/progress" {
		token := wire.ID(wire.Lookup(in.Raw, "params", "progressToken")).Key()
		if q := r.progress[token]; q != nil {
			return q.id
		}
		return nil
	}
	if in.Request != nil {
		if q, ok := in.Request.Value(requestKey{}).(*request); ok && r.open[q.id.Key()] == q {
			return q.id
		}
	}
	if len(r.open) == 1 {
		for _, q := range r.open {
			return q.id
		}
	}
	return nil
}
