package gateway

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// handshake is the one initialize that the upstream gets. Clients that come
// later are answered from its result: an upstream on stdio takes one only.
type handshake struct {
	answer      *wire.Frame // the upstream's, under another id; nil until it came
	waiting     []greeting
	initialized bool // notifications/initialized has been forwarded
}

// greeting is an initialize that waits for its answer.
type greeting struct {
	client  *muxClient
	id      wire.ID
	version []byte // that the client asked for, as JSON
}

// helloPatience is how long an upstream may take to accept initialize; its
// answer may take longer.
const helloPatience = 30 * time.Second

func (c *muxClient) initialize(ctx context.Context, f wire.Frame) error {
	m := c.mux
	g := greeting{c, wire.ID(bytes.Clone(f.ID)), bytes.Clone(wire.Lookup(f.Raw, "params", "protocolVersion"))}
	m.mu.Lock()
	m.used = time.Now()
	if errors.Is(m.err, errMadeRoom) {
		m.mu.Unlock()
		return errMadeRoom
	}
	if hello := m.hello; hello != nil {
		if hello.answer == nil {
			hello.waiting = append(hello.waiting, g)
			m.mu.Unlock()
			return nil
		}
		c.greeted = true
		answer := m.answerTo(g, *hello.answer)
		m.mu.Unlock()
		c.push(answer)
		return nil
	}
	m.hello = &handshake{waiting: []greeting{g}}
	id := m.nextID()
	m.calls[string(id)] = &muxCall{method: f.Method}
	m.mu.Unlock()

	changes := []change{set(id, "id")}
	if m.strangers {
		changes = append(changes, set([]byte("{}"), "params", "capabilities"))
	}
	// It is everybody's handshake: it does not end with the client that was first.
	write, cancel := context.WithTimeout(context.WithoutCancel(ctx), helloPatience)
	defer cancel()
	stop := context.AfterFunc(m.ctx, cancel)
	defer stop()
	err := m.conn.Write(write, changed(f, changes...))
	if err != nil {
		m.log.Warn("the upstream did not take initialize", "reason", err)
		m.mu.Lock()
		delete(m.calls, string(id))
		m.mu.Unlock()
		m.greet(wire.NewError(nil, CodeUpstream, "The MCP server behind this gateway does not take messages. Its operator finds the reason in the gateway's log.", nil))
	}
	return nil
}

// greet answers everybody who waits for the handshake. After one that failed
// the next client tries again.
func (m *mux) greet(answer wire.Frame) {
	m.mu.Lock()
	hello := m.hello
	if hello == nil {
		m.mu.Unlock()
		return
	}
	waiting := hello.waiting
	hello.waiting = nil
	if answer.Failed {
		m.hello = nil
	} else {
		kept := answer.Clone()
		hello.answer = &kept
	}
	answers := make([]wire.Frame, len(waiting))
	for i, g := range waiting {
		g.client.greeted = g.client.greeted || !answer.Failed
		answers[i] = m.answerTo(g, answer)
	}
	m.mu.Unlock()
	for i, g := range waiting {
		g.client.push(answers[i])
	}
}

// answerTo makes the answer to one client's initialize. Strangers may have
// asked for different revisions. Those of the initialize era only add to each
// other, so a client that asked for an older one than the upstream speaks
// understands it nevertheless, and is told what it asked for.
func (m *mux) answerTo(g greeting, answer wire.Frame) wire.Frame {
	answer = answer.WithID(g.id)
	spoken := wire.LookupString(answer.Raw, "result", "protocolVersion")
	asked := string(bytes.Trim(g.version, `"`))
	if m.strangers && legacyRevision(asked) && legacyRevision(spoken) && asked < spoken {
		return changed(answer, set(g.version, "result", "protocolVersion"))
	}
	return answer
}

func legacyRevision(version string) bool {
	switch version {
	case "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25":
		return true
	}
	return false
}
