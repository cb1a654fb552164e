package cmd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/mcpclient/arguments"
)

// maxAsked bounds how often one question is put again.
const maxAsked = 3

var errNobody = errors.New("the input has ended")

// Elicit implements client.ElicitationHandler: the server's question goes to the
// person, who may decline. Without a terminal it is declined, and said so.
func (u *callUI) Elicit(ctx context.Context, r mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	u.asking.Lock()
	defer u.asking.Unlock()
	question := strings.TrimSpace(clean(r.Params.Message))
	from := u.asker()
	if !u.interactive {
		text := fmt.Sprintf("%s asks, and was declined as there is no terminal: %s", from, question)
		if r.Params.URL != "" {
			text += "\n  " + oneLine(r.Params.URL)
		}
		u.note(text)
		return elicited(mcp.ElicitationResponseActionDecline, nil), nil
	}
	u.note(fmt.Sprintf("%s asks: %s", u.screen.bold(from), question))
	var result *mcp.ElicitationResult
	var err error
	if r.Params.Mode == mcp.ElicitationModeURL {
		result, err = u.visit(ctx, r.Params.URL)
	} else {
		result, err = u.form(ctx, r.Params.RequestedSchema)
	}
	if errors.Is(err, errNobody) || ctx.Err() != nil {
		return elicited(mcp.ElicitationResponseActionCancel, nil), nil
	}
	return result, err
}

func elicited(action mcp.ElicitationResponseAction, content any) *mcp.ElicitationResult {
	return &mcp.ElicitationResult{ElicitationResponse: mcp.ElicitationResponse{Action: action, Content: content}}
}

// visit asks whether a page may be opened. The address is shown whole: the
// person decides where to go (MCP client/elicitation, Security Considerations).
func (u *callUI) visit(ctx context.Context, address string) (*mcp.ElicitationResult, error) {
	page, err := url.Parse(address)
	if https := err == nil && page.Scheme == "https"; !https {
		u.note("The address is not an https page; declined: " + oneLine(address))
		return elicited(mcp.ElicitationResponseActionDecline, nil), nil
	}
	u.note("  " + oneLine(address))
	yes, err := u.yes(ctx, fmt.Sprintf("Open this page of %s in your browser?", u.screen.bold(oneLine(page.Host))), false)
	if err != nil {
		return nil, err
	}
	if !yes {
		return elicited(mcp.ElicitationResponseActionDecline, nil), nil
	}
	if err := openPage(address, u.deps.Getenv("BROWSER")); err != nil {
		u.note("No browser could be started; open the address yourself: " + err.Error())
	}
	return elicited(mcp.ElicitationResponseActionAccept, nil), nil
}

// form asks for the values of a schema, one after another.
func (u *callUI) form(ctx context.Context, requested any) (*mcp.ElicitationResult, error) {
	schema, err := json.Marshal(requested)
	if err != nil {
		return nil, fmt.Errorf("reading what the server asks for: %w", err)
	}
	fields := arguments.Describe(schema)
	yes, err := u.yes(ctx, "Answer?", true)
	if err != nil || !yes {
		return elicited(mcp.ElicitationResponseActionDecline, nil), err
	}
	for range maxAsked {
		content := json.RawMessage("{}")
		for _, field := range fields {
			if content, err = u.field(ctx, schema, content, field); err != nil {
				return nil, err
			}
		}
		report, err := arguments.Check(schema, content)
		if err != nil || len(report.Problems) == 0 {
			//nolint:nilerr // a schema that can't be checked here is the server's to judge
			return elicited(mcp.ElicitationResponseActionAccept, content), nil
		}
		for _, p := range report.Problems {
			u.note("  " + oneLine(p))
		}
	}
	u.note("Declined, as the answers do not fit.")
	return elicited(mcp.ElicitationResponseActionDecline, nil), nil
}

// field asks for one value and adds it to content.
func (u *callUI) field(ctx context.Context, schema, content json.RawMessage, field arguments.Argument) (json.RawMessage, error) {
	prompt := "  " + oneLine(field.Name)
	var details []string
	if field.Kind != "" {
		details = append(details, oneLine(field.Kind))
	}
	if !field.Required {
		details = append(details, "optional")
	}
	if len(details) > 0 {
		prompt += " (" + strings.Join(details, ", ") + ")"
	}
	if field.Default != nil {
		prompt += " [" + oneLine(defaultText(field.Default)) + "]"
	}
	if field.Description != "" {
		u.note("  " + u.screen.dim(oneLine(field.Description)))
	}
	for range maxAsked {
		answer, err := u.ask(ctx, prompt+": ")
		if err != nil {
			return nil, err
		}
		var words []string
		switch {
		case answer != "" && strings.HasSuffix(field.Kind, "[]"):
			for item := range strings.SplitSeq(answer, ",") {
				words = append(words, wordOf(field.Name, strings.TrimSpace(item)))
			}
		case answer != "":
			words = []string{wordOf(field.Name, answer)}
		case field.Default != nil:
			words = []string{field.Name + ":=" + string(field.Default)}
		case !field.Required:
			return content, nil
		default:
			u.note("  a value is needed")
			continue
		}
		next, err := arguments.Build(schema, content, words, nil)
		if err == nil {
			return next, nil
		}
		u.note("  " + oneLine(err.Error()))
	}
	return content, nil // the check of the whole will say what is wrong
}

// wordOf is a typed answer as an argument. An answer names no file.
func wordOf(name, answer string) string {
	if strings.HasPrefix(answer, "@") {
		answer = "@" + answer
	}
	return name + "=" + answer
}

func defaultText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

// yes asks a question that is answered with yes or no.
func (u *callUI) yes(ctx context.Context, question string, preset bool) (bool, error) {
	choices := " [y/N] "
	if preset {
		choices = " [Y/n] "
	}
	for range maxAsked {
		answer, err := u.ask(ctx, question+choices)
		if err != nil {
			return false, err
		}
		switch strings.ToLower(answer) {
		case "":
			return preset, nil
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
	}
	return false, nil
}

// ask shows a prompt and returns the person's line.
func (u *callUI) ask(ctx context.Context, prompt string) (string, error) {
	u.mu.Lock()
	u.clearLocked()
	_, _ = fmt.Fprint(u.screen.w, prompt)
	u.mu.Unlock()
	select {
	case line, ok := <-u.lines():
		if !ok {
			return "", errNobody
		}
		return strings.TrimSpace(line), nil
	case <-ctx.Done():
		u.note("")
		return "", ctx.Err()
	}
}

// lines returns what the person types. A read from a terminal can't be given
// up: the goroutine ends with its input or with the process.
func (u *callUI) lines() <-chan string {
	if u.answers == nil {
		lines := make(chan string)
		u.answers = lines
		go func() {
			defer close(lines)
			scanner := bufio.NewScanner(u.deps.Stdin)
			for scanner.Scan() {
				lines <- scanner.Text()
			}
		}()
	}
	return u.answers
}
