package cmd

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/mcpctl/mcpctl/internal/mcpclient"
	"github.com/mcpctl/mcpctl/internal/mcpclient/arguments"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// maxTextLines bounds what the table shows of one text.
const maxTextLines = 4

// entry is one row of the table: a name, and lines about it.
type entry struct {
	name  string
	lines []string
}

func printInspection(s screen, to target, in *inspection) error {
	info := in.hello.ServerInfo
	title := oneLine(info.Name)
	if info.Version != "" {
		title += " " + oneLine(info.Version)
	}
	if info.Title != "" && info.Title != info.Name {
		title += " (" + oneLine(info.Title) + ")"
	}
	if strings.TrimSpace(title) == "" {
		title = "a server without a name"
	}
	facts := []entry{
		{"Server", []string{to.String()}},
		{"Transport", []string{transportName(in.Transport)}},
		{"Protocol", []string{oneLine(in.ProtocolVersion)}},
		{"Capabilities", []string{capabilities(in.Server)}},
	}
	if text := strings.TrimSpace(clean(in.hello.Instructions)); text != "" {
		facts = append(facts, entry{"Instructions", []string{text}})
	}
	if err := s.line("%s", s.bold(cut(title, s.width))); err != nil {
		return err
	}
	if err := s.entries(facts); err != nil {
		return err
	}
	for _, list := range in.listed {
		if err := s.list(in, list); err != nil {
			return err
		}
	}
	return nil
}

func (s screen) list(in *inspection, list mcpclient.List) error {
	heading, items, describe := "", []json.RawMessage(nil), func(json.RawMessage) entry { return entry{} }
	switch list {
	case mcpclient.Tools:
		heading, items, describe = "TOOLS", in.Tools, describeTool
	case mcpclient.Resources:
		heading, items, describe = "RESOURCES", in.Resources, describeResource
	case mcpclient.ResourceTemplates:
		heading, items, describe = "RESOURCE TEMPLATES", in.ResourceTemplates, describeResource
	case mcpclient.Prompts:
		heading, items, describe = "PROMPTS", in.Prompts, describePrompt
	}
	if err := s.line("\n%s (%d)", s.bold(heading), len(items)); err != nil {
		return err
	}
	if text := in.Errors[list]; text != "" {
		if err := s.entries([]entry{{"error", []string{oneLine(text)}}}); err != nil {
			return err
		}
	}
	entries := make([]entry, 0, len(items))
	for _, item := range items {
		entries = append(entries, describe(item))
	}
	return s.entries(entries)
}

// Layout of entries: names in a column of their own where there is room for
// both columns, else above their lines.
const (
	indent      = 2
	gap         = 2
	maxNameRoom = 28 // longer names stand above their lines
	minTextRoom = 32
)

func (s screen) entries(list []entry) error {
	room := 0
	for _, e := range list {
		if n := columns(e.name); n <= maxNameRoom {
			room = max(room, n)
		}
	}
	left := indent + room + gap
	beside := s.width-left >= minTextRoom
	if !beside {
		left = 2 * indent
	}
	for _, e := range list {
		if err := s.entry(e, left, beside && columns(e.name) <= maxNameRoom); err != nil {
			return err
		}
	}
	return nil
}

func (s screen) entry(e entry, left int, beside bool) error {
	var lines []string
	for _, text := range e.lines {
		if text == "" {
			continue
		}
		wrapped := wrap(text, s.width-left)
		if len(wrapped) > maxTextLines {
			wrapped = wrapped[:maxTextLines]
			wrapped[maxTextLines-1] = cut(wrapped[maxTextLines-1]+" …", s.width-left)
		}
		lines = append(lines, wrapped...)
	}
	for _, name := range wrap(e.name, s.width-indent) {
		head := strings.Repeat(" ", indent) + s.bold(name)
		if beside && len(lines) > 0 {
			head += strings.Repeat(" ", left-indent-columns(name)) + lines[0]
			lines = lines[1:]
		}
		if err := s.line("%s", head); err != nil {
			return err
		}
	}
	for _, text := range lines {
		if err := s.line("%s", strings.TrimRight(strings.Repeat(" ", left)+text, " ")); err != nil {
			return err
		}
	}
	return nil
}

// described is what tools, resources and prompts have in common.
type described struct {
	Name        string
	Title       string
	Description string
	URI         string
	URITemplate string
	MimeType    string
	Size        int64
	Annotations struct {
		Title           string
		ReadOnlyHint    bool
		DestructiveHint bool
		IdempotentHint  bool
	}
	InputSchema json.RawMessage
	Arguments   []struct {
		Name        string
		Description string
		Required    bool
	}
}

// readDescribed takes what has the expected shape; the rest stays empty.
func readDescribed(item json.RawMessage) described {
	var d described
	_ = json.Unmarshal(item, &d)
	return d
}

// about are the lines that say what an item is for.
func (d described) about() []string {
	lines := []string{oneLine(d.Title)}
	if text := oneLine(d.Description); !strings.EqualFold(text, lines[0]) {
		lines = append(lines, text)
	}
	return lines
}

func describeTool(item json.RawMessage) entry {
	d := readDescribed(item)
	if d.Title == "" {
		d.Title = d.Annotations.Title
	}
	var words []string
	for _, a := range arguments.Describe(d.InputSchema) {
		words = append(words, argumentWord(a.Name, a.Kind, a.Required))
	}
	var hints []string
	for _, hint := range []struct {
		is   bool
		name string
	}{{d.Annotations.ReadOnlyHint, "read-only"}, {d.Annotations.DestructiveHint && !d.Annotations.ReadOnlyHint, "destructive"}, {d.Annotations.IdempotentHint, "idempotent"}} {
		if hint.is {
			hints = append(hints, hint.name)
		}
	}
	lines := d.about()
	if len(hints) > 0 {
		lines = append(lines, "["+strings.Join(hints, ", ")+"]")
	}
	return entry{oneLine(d.Name), append(lines, strings.Join(words, " "))}
}

// argumentWord shows an argument as mcpctl call takes it.
func argumentWord(name, kind string, required bool) string {
	word := oneLine(name) + "="
	if kind = oneLine(kind); kind == "" {
		kind = "any"
	}
	if !strings.Contains(kind, "|") {
		kind = strings.ToUpper(kind)
	}
	word += kind
	if required {
		return word
	}
	return "[" + word + "]"
}

func describeResource(item json.RawMessage) entry {
	d := readDescribed(item)
	uri := d.URI
	if uri == "" {
		uri = d.URITemplate
	}
	if d.Title == "" {
		d.Title = d.Name
	}
	lines := d.about()
	var facts []string
	if d.MimeType != "" {
		facts = append(facts, oneLine(d.MimeType))
	}
	if d.Size > 0 {
		facts = append(facts, byteSize(d.Size))
	}
	return entry{oneLine(uri), append(lines, strings.Join(facts, ", "))}
}

func describePrompt(item json.RawMessage) entry {
	d := readDescribed(item)
	var words []string
	for _, a := range d.Arguments {
		words = append(words, argumentWord(a.Name, "text", a.Required))
	}
	return entry{oneLine(d.Name), append(d.about(), strings.Join(words, " "))}
}

func transportName(transport string) string {
	switch transport {
	case "http":
		return "Streamable HTTP"
	case "sse":
		return "HTTP+SSE"
	}
	return transport
}

// capabilities lists what a server declares, with what it says of each.
func capabilities(hello json.RawMessage) string {
	var all map[string]json.RawMessage
	_ = json.Unmarshal(wire.Lookup(hello, "capabilities"), &all)
	var out []string
	for name, raw := range all {
		var details []string
		var members map[string]json.RawMessage
		_ = json.Unmarshal(raw, &members)
		for member, value := range members {
			if v := string(value); v != "false" && v != "null" {
				details = append(details, oneLine(member))
			}
		}
		slices.Sort(details)
		text := oneLine(name)
		if len(details) > 0 {
			text += " (" + strings.Join(details, ", ") + ")"
		}
		out = append(out, text)
	}
	if len(out) == 0 {
		return "none"
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func byteSize(n int64) string {
	const unit = 1024
	switch {
	case n < unit:
		return fmt.Sprintf("%d bytes", n)
	case n < unit*unit:
		return fmt.Sprintf("%.1f KiB", float64(n)/unit)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(unit*unit))
}
