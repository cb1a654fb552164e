package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// belongings remembers whose the tasks and states are that a shared upstream
// has told of. To the upstream all clients are one, so it lets whoever knows an
// id read a task, or cancel it; MCP wants both kept to their owner (2025-11-25,
// basic/utilities/tasks, "Task Isolation and Access Control"; 2026-07-28,
// basic/patterns/mrtr, on requestState).
//
// The first whose result shows an id has it. It is not locked: mux.mu is held.
type belongings struct {
	owners map[string]map[belonging]time.Time // until when it is remembered, by owner
	whose  map[belonging]string
}

// belonging is the hash of what names a thing, which may be long, and its kind.
type belonging [sha256.Size]byte

// Bounds of what is remembered.
const (
	maxBelongings         = 10_000
	maxBelongingsOfOwner  = 1000
	defaultBelongingsTime = 24 * time.Hour // where the upstream names no end
	longestBelongingsTime = 7 * 24 * time.Hour
	stateTime             = time.Hour
)

func newBelongings() belongings {
	return belongings{owners: map[string]map[belonging]time.Time{}, whose: map[belonging]string{}}
}

func taskOf(id string) belonging     { return sha256.Sum256([]byte("task " + id)) }
func stateOf(state string) belonging { return sha256.Sum256([]byte("state " + state)) }

// owner returns whose it is; known is false for what nobody has.
func (b *belongings) owner(of belonging, now time.Time) (owner string, known bool) {
	owner, known = b.whose[of]
	if known && !now.Before(b.owners[owner][of]) {
		b.forget(of)
		return "", false
	}
	return owner, known
}

// keep notes that it belongs to the owner until then, unless it is another's.
func (b *belongings) keep(of belonging, owner string, now, until time.Time) {
	if other, known := b.owner(of, now); known && other != owner {
		return
	}
	if b.whose[of] == "" {
		switch {
		case len(b.owners[owner]) >= maxBelongingsOfOwner:
			b.makeRoom(owner, now)
		case len(b.whose) >= maxBelongings:
			most := owner
			for other, theirs := range b.owners {
				if len(theirs) > len(b.owners[most]) {
					most = other
				}
			}
			b.makeRoom(most, now) // nobody's flood costs those who have little
		}
	}
	if b.owners[owner] == nil {
		b.owners[owner] = map[belonging]time.Time{}
	}
	b.owners[owner][of], b.whose[of] = until, owner
}

// makeRoom forgets what an owner's time is over of, or else what ends soonest.
func (b *belongings) makeRoom(owner string, now time.Time) {
	var soonest belonging
	var at time.Time
	for of, until := range b.owners[owner] {
		if !now.Before(until) {
			b.forget(of)
		} else if at.IsZero() || until.Before(at) {
			soonest, at = of, until
		}
	}
	if len(b.owners[owner]) >= maxBelongingsOfOwner || len(b.whose) >= maxBelongings {
		b.forget(soonest)
	}
}

func (b *belongings) forget(of belonging) {
	owner := b.whose[of]
	delete(b.whose, of)
	delete(b.owners[owner], of)
	if len(b.owners[owner]) == 0 {
		delete(b.owners, owner)
	}
}

// learn remembers what the answer to a client's request shows; m.mu is held.
func (m *mux) learn(call *muxCall, f wire.Frame) {
	now := time.Now()
	if f.Failed {
		// The task is not there (any more): MCP 2025-11-25, basic/utilities/tasks.
		if call.task != "" && string(wire.Lookup(f.Raw, "error", "code")) == strconv.Itoa(wire.CodeInvalidParams) {
			m.theirs.forget(taskOf(call.task))
		}
		return
	}
	owner := call.client.owner
	if bytes.Contains(f.Raw, []byte("requestState")) { // results are large, and these rare
		if state := wire.LookupString(f.Raw, "result", "requestState"); state != "" {
			m.theirs.keep(stateOf(state), owner, now, now.Add(stateTime))
		}
	}
	if !bytes.Contains(f.Raw, []byte("taskId")) {
		return
	}
	// Both designs of tasks: 2025-11-25 and the extension of 2026-07-28.
	for _, path := range [][]string{{"result", "task"}, {"result"}} {
		task := wire.Lookup(f.Raw, path...)
		if id := wire.LookupString(task, "taskId"); id != "" {
			m.theirs.keep(taskOf(id), owner, now, now.Add(taskTime(task)))
		}
	}
}

// taskTime is for how long a task is good from now on, going by what the
// upstream says: ttl is counted from its creation, so this is no less.
func taskTime(task []byte) time.Duration {
	for _, name := range []string{"ttl", "ttlMs"} {
		var ms float64
		if raw := wire.Lookup(task, name); raw != nil && json.Unmarshal(raw, &ms) == nil && ms > 0 {
			return time.Duration(min(ms, float64(longestBelongingsTime/time.Millisecond))) * time.Millisecond
		}
	}
	return defaultBelongingsTime
}

// refuseForeign keeps a client from the tasks and states of others, whatever the
// method: one that is not listed anywhere may work on tasks too. An id that has
// been seen in no answer is nobody's. A state may be older than this process, so
// one that was not seen is for the upstream to judge.
func (c *muxClient) refuseForeign(f wire.Frame) (wire.Frame, bool) {
	params := wire.Lookup(f.Raw, "params")
	now := time.Now()
	c.mux.mu.Lock()
	defer c.mux.mu.Unlock()
	for _, id := range tasksIn(params) {
		if owner, known := c.mux.theirs.owner(taskOf(id), now); !known || owner != c.owner {
			return wire.NewError(f.ID, wire.CodeInvalidParams, "Invalid params: you have no such task", nil), true
		}
	}
	if state := wire.LookupString(params, "requestState"); state != "" {
		if owner, known := c.mux.theirs.owner(stateOf(state), now); known && owner != c.owner {
			return wire.NewError(f.ID, wire.CodeInvalidParams, "Invalid params: this requestState was not given to you", nil), true
		}
	}
	return wire.Frame{}, false
}

// metaRelatedTask names the task that a message belongs to (MCP 2025-11-25).
const metaRelatedTask = "io.modelcontextprotocol/related-task"

// tasksIn lists the tasks that a client's message names. What is no string
// there counts as one that nobody has.
func tasksIn(params []byte) []string {
	var ids []string
	for _, path := range [][]string{{"taskId"}, {"task", "taskId"}, {"_meta", metaRelatedTask, "taskId"}} {
		if raw := wire.Lookup(params, path...); raw != nil {
			ids = append(ids, wire.LookupString(params, path...))
		}
	}
	// subscriptions/listen of the extension of 2026-07-28.
	if raw := wire.Lookup(params, "notifications", "taskIds"); raw != nil {
		var listened []string
		if json.Unmarshal(raw, &listened) != nil {
			listened = []string{""}
		}
		ids = append(ids, listened...)
	}
	return ids
}

// unclear reports that readers could disagree on what a client's message is
// about: the gateway, which keeps clients apart, and the upstream. Of what else
// the envelope has wire.Parse sees to it.
func unclear(raw []byte) error {
	params := wire.Lookup(raw, "params")
	return errors.Join(
		clearNames(raw, "params"),
		clearNames(params, "_meta", "notifications", "progressToken", "requestId", "requestState", "task", "taskId", "uri"),
		clearNames(wire.Lookup(params, "_meta"), "progressToken", metaRelatedTask),
		clearNames(wire.Lookup(params, "_meta", metaRelatedTask), "taskId"),
		clearNames(wire.Lookup(params, "task"), "taskId"),
		clearNames(wire.Lookup(params, "notifications"), "taskIds"),
	)
}

func clearNames(object []byte, names ...string) error {
	if len(object) == 0 || object[0] != '{' {
		return nil
	}
	return unambiguous(object, names...)
}
