package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// metaProtocol is where requests of 2026-07-28 name their revision.
const metaProtocol = wire.MetaProtocol

// listed says what a list method lists.
var listed = map[string]struct {
	member     string // of the result
	capability string
	item       func(a *Aggregate, m *member, item []byte) ([]byte, bool) // as clients see it, or not at all
}{
	"tools/list":               {"tools", "tools", (*Aggregate).toolItem},
	"prompts/list":             {"prompts", "prompts", (*Aggregate).namedItem},
	"resources/list":           {"resources", "resources", (*Aggregate).resourceItem},
	"resources/templates/list": {"resourceTemplates", "resources", (*Aggregate).templateItem},
	"tasks/list":               {"tasks", "tasks", (*Aggregate).taskItem},
}

// list merges a page of the list of each upstream, in the order of the
// upstreams and, within one, in its own. What fails is left out.
func (a *Aggregate) list(ctx context.Context, f wire.Frame) (wire.Frame, error) {
	kind := listed[f.Method]
	var cursors map[string]string
	if sealed := wire.Lookup(f.Raw, "params", "cursor"); sealed != nil && string(sealed) != "null" {
		var err error
		if cursors, err = a.cursors.open(wire.LookupString(f.Raw, "params", "cursor"), f.Method); err != nil {
			return wire.NewError(f.ID, wire.CodeInvalidParams, "Invalid cursor: list from the start", nil), nil
		}
	}
	var members []*member
	for _, m := range a.members {
		_, goesOn := cursors[m.name]
		if (cursors == nil || goesOn) && m.offers(kind.capability) && !m.rests() {
			members = append(members, m)
		}
	}
	pages := a.each(ctx, members, a.opts.ListTimeout, func(m *member) wire.Frame {
		request := f.WithID(a.newID())
		if cursor, ok := cursors[m.name]; ok {
			request = changed(request, set(quoted(cursor), "params", "cursor"))
		}
		return request
	})
	defer releaseOutcomes(pages)
	if ctx.Err() != nil {
		return wire.Frame{}, ctx.Err()
	}
	merged := mergedList{hints: newHints(f)}
	next := map[string]string{}
	for _, page := range pages {
		if !merged.usable(a, f.Method, page) {
			continue
		}
		a.addItems(&merged, f.Method, page)
		cursor := wire.LookupString(page.answer.Raw, "result", "nextCursor")
		switch {
		case cursor == "":
		case len(cursor) > maxCursor:
			a.log.Warn("the rest of an upstream's list is left out: its cursor is too long", "upstream", page.member.name, "method", f.Method)
		default:
			next[page.member.name] = cursor
		}
	}
	if merged.good == 0 && len(pages) > 0 {
		return firstFailure(f, pages)
	}
	merged.hints.incomplete = merged.hints.incomplete || len(members) < a.expected(kind.capability, cursors)
	var out bytes.Buffer
	out.WriteString(`{"jsonrpc":"2.0","id":` + string(f.ID) + `,"result":{"` + kind.member + `":[`)
	out.Write(bytes.Join(merged.items, []byte(",")))
	out.WriteString(`]`)
	if len(next) > 0 {
		out.WriteString(`,"nextCursor":"` + a.cursors.seal(listCursor{f.Method, next}) + `"`)
	}
	merged.hints.write(&out)
	out.WriteString(`}}`)
	return wire.Parse(out.Bytes())
}

// expected counts the upstreams that a page of a list is of.
func (a *Aggregate) expected(capability string, cursors map[string]string) int {
	if cursors != nil {
		return len(cursors)
	}
	n := 0
	for _, m := range a.members {
		if m.offers(capability) {
			n++
		}
	}
	return n
}

// rests reports that the upstream has just let a list wait in vain.
func (m *member) rests() bool {
	m.agg.mu.Lock()
	defer m.agg.mu.Unlock()
	return time.Now().Before(m.resting)
}

// mergedList collects the items of one page.
type mergedList struct {
	items [][]byte
	hints cacheHints
	good  int // upstreams that answered
}

// usable reports whether an upstream has answered with a result.
func (l *mergedList) usable(a *Aggregate, method string, page outcome) bool {
	switch {
	case page.err != nil:
		l.hints.incomplete = true
		a.log.Warn("an upstream is missing from a list", "upstream", page.member.name, "method", method, "reason", page.err)
		if errors.Is(page.err, errSlow) {
			a.mu.Lock()
			page.member.resting = time.Now().Add(listRest)
			a.mu.Unlock()
		}
		return false
	case page.answer.Failed && string(wire.Lookup(page.answer.Raw, "error", "code")) == strconv.Itoa(wire.CodeMethodNotFound):
		return false // it has none of these
	case page.answer.Failed:
		l.hints.incomplete = true
		a.log.Warn("an upstream is missing from a list", "upstream", page.member.name, "method", method, "reason", wire.LookupString(page.answer.Raw, "error", "message"))
		return false
	}
	l.good++
	return true
}

// firstFailure answers a request that no upstream has a result for.
func firstFailure(f wire.Frame, all []outcome) (wire.Frame, error) {
	for _, o := range all {
		if o.err == nil {
			return changed(o.answer, set(f.ID, "id")), nil
		}
	}
	return wire.Frame{}, all[0].err
}

func (a *Aggregate) addItems(l *mergedList, method string, page outcome) {
	kind := listed[method]
	var items []json.RawMessage // the bytes of each stay what they are
	_ = json.Unmarshal(wire.Lookup(page.answer.Raw, "result", kind.member), &items)
	for _, item := range items {
		if shown, ok := kind.item(a, page.member, item); ok {
			l.items = append(l.items, shown)
		}
	}
	l.hints.add(wire.Lookup(page.answer.Raw, "result"))
}

// namedItem gives a tool or prompt its outward name.
func (a *Aggregate) namedItem(m *member, item []byte) ([]byte, bool) {
	start, end, ok := wire.Find(item, "name")
	name := wire.LookupString(item, "name")
	if !ok || name == "" {
		a.log.Warn("an item without a name was left out of a list", "upstream", m.name)
		return nil, false
	}
	outward := quoted(a.opts.Aliases.outward(m.name, name))
	shown := append(make([]byte, 0, len(item)+len(outward)), item[:start]...)
	return append(append(shown, outward...), item[end:]...), true
}

func (a *Aggregate) toolItem(m *member, item []byte) ([]byte, bool) {
	// The page of an MCP App is often not listed.
	for _, path := range [][]string{{"_meta", "ui", "resourceUri"}, {"_meta", "ui/resourceUri"}} {
		if uri := wire.LookupString(item, path...); uri != "" {
			a.claim(m, uri)
		}
	}
	return a.namedItem(m, item)
}

// claim notes whose a resource is, and reports whether it is the upstream's.
func (a *Aggregate) claim(m *member, uri string) bool {
	a.mu.Lock()
	owner := a.resources.add(m, uri)
	a.mu.Unlock()
	if owner != m {
		a.log.Warn("a resource is left out: another upstream has one of the same address", "upstream", m.name, "other", owner.name, "uri", uri)
	}
	return owner == m
}

func (a *Aggregate) resourceItem(m *member, item []byte) ([]byte, bool) {
	return item, a.claim(m, wire.LookupString(item, "uri"))
}

func (a *Aggregate) templateItem(m *member, item []byte) ([]byte, bool) {
	template := wire.LookupString(item, "uriTemplate")
	a.mu.Lock()
	owner := a.resources.addTemplate(m, template)
	a.mu.Unlock()
	if owner != m {
		a.log.Warn("a resource template is left out: another upstream has the same", "upstream", m.name, "other", owner.name, "template", template)
	}
	return item, owner == m
}

func (a *Aggregate) taskItem(m *member, item []byte) ([]byte, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.taskOwners) < maxTaskOwners {
		a.taskOwners[wire.LookupString(item, "taskId")] = m
	}
	return item, true
}

// cacheHints merges what results say about keeping them (MCP 2026-07-28,
// server/utilities/caching).
type cacheHints struct {
	modern     bool
	any        bool
	ttl        int64 // the shortest
	private    bool  // one is, or does not say
	incomplete bool  // something is missing that may be there soon
}

func newHints(f wire.Frame) cacheHints {
	return cacheHints{modern: wire.Lookup(f.Raw, "params", "_meta", metaProtocol) != nil}
}

func (h *cacheHints) add(result []byte) {
	var ttl int64
	if json.Unmarshal(wire.Lookup(result, "ttlMs"), &ttl) != nil || ttl < 0 {
		ttl = 0
	}
	if !h.any || ttl < h.ttl {
		h.ttl = ttl
	}
	h.any = true
	h.private = h.private || wire.LookupString(result, "cacheScope") != "public"
}

// write appends the members for 2026-07-28 to a result that has others.
func (h *cacheHints) write(out *bytes.Buffer) {
	if !h.modern {
		return
	}
	ttl, scope := h.ttl, "public"
	if h.private || !h.any {
		scope = "private"
	}
	if h.incomplete {
		ttl, scope = 0, "private"
	}
	out.WriteString(`,"resultType":"complete","ttlMs":` + strconv.FormatInt(ttl, 10) + `,"cacheScope":"` + scope + `"`)
}
