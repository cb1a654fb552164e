package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// callOutput is -o of mcpctl call: text for people, json for programs, raw for
// the result as the server sent it.
type callOutput string

func (o *callOutput) add(c *cobra.Command) {
	*o = "text"
	c.Flags().VarP(o, "output", "o", "`format` of the output: text, json (the result, indented) or raw (the result as it came)")
	completeValues(c, "output", "text", "json", "raw")
}

// String implements pflag.Value.
func (o *callOutput) String() string { return string(*o) }

// Type implements pflag.Value.
func (o *callOutput) Type() string { return "format" }

// Set implements pflag.Value.
func (o *callOutput) Set(s string) error {
	switch s {
	case "text", "json", "raw":
		*o = callOutput(s)
		return nil
	}
	return fmt.Errorf("choose text, json or raw, not %q", s)
}

// callResult is what is looked at of the results of tools/call, resources/read
// and prompts/get.
type callResult struct {
	Content           []json.RawMessage
	StructuredContent json.RawMessage
	IsError           bool

	Contents []json.RawMessage // of a resource

	Description string // of a prompt
	Messages    []struct {
		Role    string
		Content json.RawMessage
	}
}

var errToolFailed = errors.New("the tool reported an error; it is shown above")

// print shows a result, and tells if it says that the tool has failed.
func (o callOptions) print(raw json.RawMessage) error {
	var result callResult
	readErr := json.Unmarshal(raw, &result)
	p := &printer{screen: newScreen(o.deps.Stdout, o.deps.Getenv), folder: o.save}
	switch {
	case o.out == "raw":
		p.text(string(raw))
	case o.out == "json" || readErr != nil:
		p.json(raw)
	default:
		p.result(result)
	}
	if o.out != "text" && o.save != "" && readErr == nil {
		p.saveOnly(o.deps.Stderr, result)
	}
	switch {
	case p.err != nil:
		return p.err
	case result.IsError:
		return errToolFailed
	}
	return nil
}

// printer prints parts of results. The first error stops it.
type printer struct {
	screen
	folder string // where data is saved; "" summarises it
	err    error
}

func (p *printer) result(r callResult) {
	for _, block := range r.Content {
		if !repeats(block, r.StructuredContent) {
			p.content(block)
		}
	}
	if len(r.StructuredContent) > 0 && string(r.StructuredContent) != "null" {
		p.json(r.StructuredContent)
	}
	for _, c := range r.Contents {
		p.resource(c)
	}
	if r.Description != "" && len(r.Messages) > 0 {
		p.own(p.dim(oneLine(r.Description)))
	}
	for _, m := range r.Messages {
		p.own(p.bold(oneLine(m.Role) + ":"))
		p.content(m.Content)
	}
}

// repeats reports a text that says the same as the structured content, as MCP
// asks of tools for the sake of older clients (server/tools, Structured Content).
func repeats(block, structured json.RawMessage) bool {
	if len(structured) == 0 || wire.LookupString(block, "type") != "text" {
		return false
	}
	var a, b any
	return json.Unmarshal([]byte(wire.LookupString(block, "text")), &a) == nil &&
		json.Unmarshal(structured, &b) == nil && reflect.DeepEqual(a, b)
}

// content prints one block of content.
func (p *printer) content(block json.RawMessage) {
	switch wire.LookupString(block, "type") {
	case "text":
		p.text(wire.LookupString(block, "text"))
	case "image", "audio":
		p.data(wire.LookupString(block, "type"), wire.LookupString(block, "mimeType"), wire.LookupString(block, "data"))
	case "resource":
		p.resource(wire.Lookup(block, "resource"))
	case "resource_link":
		d := readDescribed(block)
		line := oneLine(d.URI)
		if about := strings.TrimSpace(strings.Join(d.about(), " ")); about != "" {
			line += "  " + about
		}
		p.text(line)
	default:
		p.json(block)
	}
}

// resource prints the contents of a resource: text or base64 data.
func (p *printer) resource(contents json.RawMessage) {
	if wire.Lookup(contents, "text") != nil {
		p.text(wire.LookupString(contents, "text"))
		return
	}
	if wire.Lookup(contents, "blob") == nil {
		p.json(contents)
		return
	}
	p.data(fileName(wire.LookupString(contents, "uri")), wire.LookupString(contents, "mimeType"), wire.LookupString(contents, "blob"))
}

// text prints a server's text: made safe for a terminal, as it is elsewhere.
func (p *printer) text(text string) {
	if p.terminal {
		text = clean(text)
	}
	p.own(text)
}

// own prints text that is safe as it is.
func (p *printer) own(text string) {
	if p.err != nil {
		return
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	_, p.err = p.w.Write([]byte(text))
}

// json prints a JSON value on several lines. Numbers and the order of members
// stay what they are.
func (p *printer) json(raw json.RawMessage) {
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		p.text(string(raw))
		return
	}
	p.text(out.String())
}
