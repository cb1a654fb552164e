package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/policy"
)

// maxToolPages bounds how many pages of an upstream's list are read.
const maxToolPages = 100

// listKind names what a list method lists, "" for other methods.
func listKind(method string) string {
	switch method {
	case "tools/list":
		return policy.KindTool
	case "prompts/list":
		return policy.KindPrompt
	case "resources/list", "resources/templates/list":
		return policy.KindResource
	}
	return ""
}

// fromNext filters lists on their way to the client and keeps back answers to
// the decider's own requests.
func (d *decider) fromNext(ctx context.Context, f wire.Frame) error {
	if f.Kind != wire.Response {
		if f.Method == "notifications/tools/list_changed" {
			d.mu.Lock()
			clear(d.tools)
			d.mu.Unlock()
		}
		if f.Method == "notifications/resources/updated" && !d.mayHear(ctx, f) {
			d.opts.Logger.Debug("an update of a resource that the client may not use was dropped")
			return nil
		}
		return d.deliver(ctx, f)
	}
	key := f.ID.Key()
	d.mu.Lock()
	list, isList := d.lists[key]
	own := d.answers[key]
	d.mu.Unlock()
	switch {
	case own != nil:
		own <- f.Clone()
		return nil
	case !isList || f.Failed:
		return d.deliver(ctx, f)
	}
	if list.kind == policy.KindTool {
		d.learn(f)
	}
	filtered, err := d.filter(list.ctx, list.kind, f)
	if err != nil {
		d.opts.Logger.Warn("a list could not be filtered and is withheld", "reason", err)
		filtered = wire.NewError(f.ID, CodeUpstream, "The list of the MCP server behind this gateway can't be read.", nil)
	}
	return d.deliver(ctx, filtered)
}

// member names under which each kind's list stands.
func listMembers(kind string) []string {
	switch kind {
	case policy.KindTool:
		return []string{"tools"}
	case policy.KindPrompt:
		return []string{"prompts"}
	}
	return []string{"resources", "resourceTemplates"}
}

// filter takes out what the caller can't use. What stays keeps its bytes.
func (d *decider) filter(ctx context.Context, kind string, f wire.Frame) (wire.Frame, error) {
	rules := d.opts.Policy()
	user, client := d.opts.Caller(ctx)
	for _, member := range listMembers(kind) {
		list := wire.Lookup(f.Raw, "result", member)
		if list == nil {
			continue
		}
		kept := []byte{'['}
		err := wire.Elements(list, func(item []byte) error {
			name := wire.LookupString(item, "name")
			if kind == policy.KindResource {
				if name = wire.LookupString(item, "uri"); name == "" {
					name = wire.LookupString(item, "uriTemplate")
				}
			}
			tool := d.describe(kind, name, wire.Lookup(item, "annotations"))
			if kind != policy.KindTool {
				tool.Annotations = policy.Annotations{ReadOnlyHint: true}
			}
			if rules.Visible(ctx, policy.Input{User: user, Client: client, Tool: tool}) {
				if len(kept) > 1 {
					kept = append(kept, ',')
				}
				kept = append(kept, item...)
			}
			return nil
		})
		if err != nil {
			return wire.Frame{}, err
		}
		f = changed(f, set(append(kept, ']'), "result", member))
	}
	return f, nil
}

// learn remembers what decisions need of listed tools.
func (d *decider) learn(f wire.Frame) {
	withArguments := d.opts.Policy().ReadsArguments()
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = wire.Elements(wire.Lookup(f.Raw, "result", "tools"), func(item []byte) error {
		if len(d.tools) < 100_000 {
			t := listedTool{annotations: bytes.Clone(wire.Lookup(item, "annotations"))}
			if withArguments {
				t.declared = policy.DeclaredBy(wire.Lookup(item, "inputSchema"))
			}
			d.tools[wire.LookupString(item, "name")] = t
		}
		return nil
	})
}

// fetchTools reads the upstream's whole list of tools for the decider itself, in
// the era of the request on whose behalf it does.
func (d *decider) fetchTools(ctx context.Context, on wire.Frame) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cursor := []byte(nil)
	for range maxToolPages {
		answer, err := d.ask(ctx, listParams(on, cursor))
		if err != nil {
			return err
		}
		d.learn(answer)
		if cursor = wire.Lookup(answer.Raw, "result", "nextCursor"); len(cursor) == 0 || cursor[0] != '"' {
			return nil
		}
	}
	return errors.New("the list does not end")
}

// listParams are those of a request for a page. Requests of MCP 2026-07-28 say
// each who sends them (basic, Request Metadata).
func listParams(on wire.Frame, cursor []byte) string {
	var meta []string
	for _, name := range []string{metaVersion, metaClient, metaCapabilities} {
		if value := wire.Lookup(on.Raw, "params", "_meta", name); value != nil {
			meta = append(meta, `"`+name+`":`+string(value))
		}
	}
	var members []string
	if len(meta) > 0 {
		members = append(members, `"_meta":{`+strings.Join(meta, ",")+`}`)
	}
	if cursor != nil {
		members = append(members, `"cursor":`+string(cursor))
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (d *decider) ask(ctx context.Context, params string) (wire.Frame, error) {
	id := wire.ID(`"mcpctl-` + rand.Text() + `"`) // no client meets it by chance, or can guess it
	d.mu.Lock()
	answer := make(chan wire.Frame, 1)
	d.answers[id.Key()] = answer
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.answers, id.Key())
		d.mu.Unlock()
	}()
	request := wire.MustParse(`{"jsonrpc":"2.0","id":` + string(id) + `,"method":"tools/list","params":` + params + `}`)
	if err := d.next.Exchange(ctx, request); err != nil {
		return wire.Frame{}, err
	}
	select {
	case f := <-answer:
		if f.Failed {
			return f, fmt.Errorf("the upstream answered tools/list with an error: %.200q", wire.LookupString(f.Raw, "error", "message"))
		}
		return f, nil
	default:
		return wire.Frame{}, wire.ErrNoAnswer
	}
}
