package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// metaServerInfo is where results of 2026-07-28 name the server.
const metaServerInfo = "io.modelcontextprotocol/serverInfo"

// maxInstructions bounds what one upstream adds to the instructions, in bytes.
const maxInstructions = 16 << 10

// about is what an upstream says of itself.
type about struct {
	member       *member
	capabilities []byte
	instructions string
	versions     []string
}

// initialize opens a session with every upstream at once and answers for all.
func (a *Aggregate) initialize(ctx context.Context, f wire.Frame) (wire.Frame, error) {
	hello := f.Clone()
	a.mu.Lock()
	a.hello, a.greeted = &hello, false
	var early []*member
	for _, m := range a.members {
		m.retry = time.Time{}
		if m.remote != nil && m.capabilities == nil {
			early = append(early, m) // dialled before there was a session to open
		}
	}
	a.mu.Unlock()
	for _, m := range early {
		if remote := m.retire(); remote != nil {
			m.end(remote)
		}
	}
	faults := make([]error, len(a.members))
	done := make(chan struct{}, len(a.members))
	for i, m := range a.members {
		go func() {
			defer func() { done <- struct{}{} }()
			_, _, faults[i] = m.session(ctx)
		}()
	}
	for range a.members {
		<-done
	}
	var here []about
	var first error
	a.mu.Lock()
	for i, m := range a.members {
		if faults[i] == nil {
			here = append(here, m.said)
		} else if first == nil {
			first = faults[i]
		}
	}
	a.mu.Unlock()
	if len(here) == 0 {
		return wire.Frame{}, first
	}
	var version string
	for _, one := range here {
		for _, v := range one.versions {
			version = max(version, v) // revisions are dates
		}
	}
	result := map[string]any{
		"protocolVersion": version,
		"capabilities":    a.capabilities(here),
		"serverInfo":      a.serverInfo(),
		"instructions":    a.instructions(here),
	}
	return wire.NewResult(f.ID, result), nil
}

// helloResult keeps what an upstream answered to initialize; agg.mu is held.
func (m *member) helloResult(answer wire.Frame) {
	m.said = about{
		member:       m,
		capabilities: m.capabilities,
		instructions: wire.LookupString(answer.Raw, "result", "instructions"),
		versions:     []string{wire.LookupString(answer.Raw, "result", "protocolVersion")},
	}
}

// discover answers server/discover for all.
func (a *Aggregate) discover(ctx context.Context, f wire.Frame) (wire.Frame, error) {
	all := a.each(ctx, a.members, a.opts.HelloTimeout, func(*member) wire.Frame { return f.WithID(a.newID()) })
	defer releaseOutcomes(all)
	hints := cacheHints{modern: true}
	var here []about
	for _, o := range all {
		if o.err != nil || o.answer.Failed {
			reason := any(o.err)
			if o.err == nil {
				reason = wire.LookupString(o.answer.Raw, "error", "message")
			}
			a.log.Error("an upstream is left out", "upstream", o.member.name, "reason", reason)
			hints.incomplete = true
			continue
		}
		result := wire.Lookup(o.answer.Raw, "result")
		one := about{o.member, bytes.Clone(wire.Lookup(result, "capabilities")), wire.LookupString(result, "instructions"), nil}
		_ = json.Unmarshal(wire.Lookup(result, "supportedVersions"), &one.versions)
		a.mu.Lock()
		o.member.capabilities = one.capabilities
		a.mu.Unlock()
		here = append(here, one)
		hints.add(result)
	}
	if len(here) == 0 {
		return firstFailure(f, all)
	}
	versions := here[0].versions
	for _, one := range here[1:] {
		versions = slices.DeleteFunc(slices.Clone(versions), func(v string) bool { return !slices.Contains(one.versions, v) })
	}
	if len(versions) == 0 {
		// Each answered a request of this revision.
		versions = []string{wire.LookupString(f.Raw, "params", "_meta", metaProtocol)}
	}
	var out bytes.Buffer
	out.WriteString(`{"jsonrpc":"2.0","id":` + string(f.ID) + `,"result":{"supportedVersions":`)
	out.Write(marshal(versions))
	out.WriteString(`,"capabilities":`)
	out.Write(a.capabilities(here))
	out.WriteString(`,"instructions":`)
	out.Write(quoted(a.instructions(here)))
	out.WriteString(`,"_meta":{"` + metaServerInfo + `":`)
	out.Write(marshal(a.serverInfo()))
	out.WriteString(`}`)
	hints.write(&out)
	out.WriteString(`}}`)
	return wire.Parse(out.Bytes())
}

func (a *Aggregate) serverInfo() map[string]string {
	return map[string]string{"name": a.opts.ServerName, "version": a.opts.ServerVersion}
}

// capabilities are those that any upstream has. While one is missing, it may
// bring whatever there is to list.
func (a *Aggregate) capabilities(here []about) json.RawMessage {
	merged := json.RawMessage(`{}`)
	for _, one := range here {
		if len(one.capabilities) > 0 {
			merged = mergeJSON(merged, one.capabilities)
		}
	}
	if len(here) < len(a.members) {
		merged = mergeJSON(merged, json.RawMessage(`{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"listChanged":true}}`))
	}
	return merged
}

// mergeJSON joins two values: objects member by member, booleans as what is
// true of either; of others the first counts.
func mergeJSON(a, b json.RawMessage) json.RawMessage {
	var x, y map[string]json.RawMessage
	if json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && x != nil && y != nil {
		for name, value := range y {
			if have, ok := x[name]; ok {
				value = mergeJSON(have, value)
			}
			x[name] = value
		}
		return marshal(x)
	}
	if string(a) == "false" && string(b) == "true" {
		return b
	}
	return a
}

func marshal(v any) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return []byte("null") // v is of strings and of JSON that was read
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}

// instructions says how names are made, repeats what each upstream says, and
// names those that are missing.
func (a *Aggregate) instructions(here []about) string {
	var text strings.Builder
	fmt.Fprintf(&text, "Several MCP servers stand behind this one: %s. The names of tools and prompts begin with the server's name and two underscores.", a.names())
	for _, one := range here {
		if said := one.instructions; said != "" {
			if len(said) > maxInstructions {
				said = strings.ToValidUTF8(said[:maxInstructions], "") + "…"
			}
			fmt.Fprintf(&text, "\n\n## %s\n\n%s", one.member.name, said)
		}
	}
	var missing []string
	for _, m := range a.members {
		if !slices.ContainsFunc(here, func(one about) bool { return one.member == m }) {
			missing = append(missing, m.name)
		}
	}
	if len(missing) > 0 {
		fmt.Fprintf(&text, "\n\nNot available at the moment: %s.", strings.Join(missing, ", "))
	}
	return text.String()
}
