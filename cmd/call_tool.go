package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mcpctl/mcpctl/internal/mcpclient"
	"github.com/mcpctl/mcpctl/internal/mcpclient/arguments"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// callTool finds the tool, makes its arguments and calls it.
func (o callOptions) callTool(ctx context.Context, server *connection, ui *callUI, base json.RawMessage) (json.RawMessage, error) {
	schema, err := o.inputSchema(ctx, server)
	if err != nil {
		return nil, err
	}
	args, err := o.build(schema, base)
	if err != nil {
		return nil, err
	}
	if !o.noCheck && schema != nil {
		if err := o.checkArguments(schema, args, ui); err != nil {
			return nil, err
		}
	}
	return server.CallTool(ctx, o.tool, args)
}

// inputSchema returns the schema of the tool, nil from a server that lists no
// tools.
func (o callOptions) inputSchema(ctx context.Context, server *connection) (json.RawMessage, error) {
	if wire.Lookup(server.Hello(), "capabilities", "tools") == nil {
		return nil, nil
	}
	var names []string
	for item, err := range server.All(ctx, mcpclient.Tools) {
		if err != nil {
			return nil, err
		}
		name := wire.LookupString(item, "name")
		if name == o.tool {
			return wire.Lookup(item, "inputSchema"), nil
		}
		names = append(names, name)
	}
	return nil, o.notThere("tool", o.tool, names)
}

// notThere tells of a name that the server does not have.
func (o callOptions) notThere(what, name string, names []string) error {
	text := fmt.Sprintf("the server has no %s %q", what, name)
	if near := arguments.Nearest(name, names); near != "" {
		text += fmt.Sprintf("; did you mean %s?", oneLine(near))
	} else {
		text += ".\nRun: " + o.to.inspect()
	}
	return &exitError{exitUsage, errors.New(text)}
}

func (o callOptions) checkArguments(schema, args json.RawMessage, ui *callUI) error {
	report, err := arguments.Check(schema, args)
	if errors.Is(err, arguments.ErrSchema) {
		ui.note("The arguments were not checked: " + err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	if len(report.Problems) == 0 {
		for _, doubt := range report.Doubts {
			ui.note("Note: " + doubt)
		}
		return nil
	}
	return o.unfit(slices.Concat(report.Problems, report.Doubts), "\nTo send them nevertheless, add --no-check.")
}

// build makes the arguments of words.
func (o callOptions) build(schema, base json.RawMessage) (json.RawMessage, error) {
	args, err := arguments.Build(schema, base, o.words, o.readFile)
	if err != nil {
		return nil, o.unfit(strings.Split(err.Error(), "\n"), "")
	}
	return args, nil
}

// unfit lists what is wrong with arguments.
func (o callOptions) unfit(faults []string, advice string) error {
	text := "the arguments do not fit the tool " + o.tool + ":"
	if o.prompt != "" {
		text = "the arguments do not fit the prompt " + o.prompt + ":"
	}
	for _, fault := range faults {
		text += "\n  " + oneLine(fault)
	}
	return &exitError{exitUsage, errors.New(text + advice)}
}

// fillIn gets a prompt with the words as its arguments, which are all text.
func (o callOptions) fillIn(ctx context.Context, server *connection, ui *callUI) (json.RawMessage, error) {
	var names []string
	var prompt *described
	for item, err := range server.All(ctx, mcpclient.Prompts) {
		if err != nil {
			return nil, err
		}
		d := readDescribed(item)
		if d.Name == o.prompt {
			prompt = &d
			break
		}
		names = append(names, d.Name)
	}
	if prompt == nil {
		return nil, o.notThere("prompt", o.prompt, names)
	}
	schema := prompt.schema()
	args, err := o.build(schema, nil)
	if err != nil {
		return nil, err
	}
	if !o.noCheck {
		if err := o.checkArguments(schema, args, ui); err != nil {
			return nil, err
		}
	}
	var texts map[string]string
	if err := json.Unmarshal(args, &texts); err != nil {
		return nil, &exitError{exitUsage, errors.New("a prompt's arguments are plain text: write key=value")}
	}
	return server.GetPrompt(ctx, o.prompt, texts)
}

// schema is a prompt's list of arguments as a JSON Schema.
func (d described) schema() json.RawMessage {
	properties, required := map[string]any{}, []string{}
	for _, a := range d.Arguments {
		properties[a.Name] = map[string]string{"type": "string", "description": a.Description}
		if a.Required {
			required = append(required, a.Name)
		}
	}
	raw, err := json.Marshal(map[string]any{"type": "object", "properties": properties, "required": required})
	if err != nil {
		return nil
	}
	return raw
}
