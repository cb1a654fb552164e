package gateway

import (
	"bytes"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// note remembers a request until it is answered, and forgets one that the
// client cancels.
func (r *relay) note(in wire.Incoming) {
	switch {
	case in.Kind == wire.Request:
		params := wire.Lookup(in.Raw, "params")
		q := &request{
			id:       wire.ID(bytes.Clone(in.ID)),
			progress: wire.ID(wire.Lookup(params, "_meta", "progressToken")).Key(),
			ctx:      in.Request,
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
		r.mu.Lock()
		r.open[in.ID.Key()] = q
		if q.progress != "" {
			r.progress[q.progress] = q
		}
		r.mu.Unlock()
	case in.Method == "notifications/cancelled":
		if q := r.take(wire.ID(wire.Lookup(in.Raw, "params", "requestId"))); q != nil {
			q.args.Release()
		}
	}
}

func target(params []byte) string {
	if name := wire.LookupString(params, "name"); name != "" {
		return name
	}
	return wire.LookupString(params, "uri")
}

func (r *relay) take(id wire.ID) *request {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := id.Key()
	q := r.open[key]
	delete(r.open, key)
	if q != nil && r.progress[q.progress] == q {
		delete(r.progress, q.progress)
	}
	return q
}

// related returns the id of the request that a message from the upstream
// belongs to, nil for none. An upstream on stdio says so for progress only;
// where a single request is open, anything else is taken to belong to it, as
// its stream is the one that clients surely read (MCP 2025-11-25,
// basic/transports: related messages go on the request's stream).
func (r *relay) related(f wire.Frame) wire.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.Method == "notifications/progress" {
		token := wire.ID(wire.Lookup(f.Raw, "params", "progressToken")).Key()
		if q := r.progress[token]; q != nil {
			return q.id
		}
		return nil
	}
	if len(r.open) == 1 {
		for _, q := range r.open {
			return q.id
		}
	}
	return nil
}
