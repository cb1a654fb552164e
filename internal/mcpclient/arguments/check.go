package arguments

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Report is what a check has found.
type Report struct {
	// Problems are what the schema forbids, one sentence each.
	Problems []string
	// Doubts are what it allows and was probably not meant: arguments that the
	// tool does not describe.
	Doubts []string
}

// ErrSchema is returned for a schema that arguments can't be checked against.
var ErrSchema = errors.New("the tool's input schema can't be used")

// Check compares arguments with a tool's input schema. Of the drafts of JSON
// Schema it knows 4 to 2020-12, which MCP takes where the schema names none.
//
// The validator is the one that mcp-go's servers use: its errors are data, which
// can be told in words, and it reads all drafts that are about.
func Check(inputSchema, arguments json.RawMessage) (Report, error) {
	compiled, err := compile(inputSchema)
	if err != nil {
		return Report{}, fmt.Errorf("%w: %w", ErrSchema, err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(arguments))
	if err != nil {
		return Report{}, fmt.Errorf("reading the arguments: %w", err)
	}
	s := open(inputSchema)
	report := Report{Doubts: s.doubts(value)}
	var invalid *jsonschema.ValidationError
	switch err := compiled.Validate(value); {
	case errors.As(err, &invalid):
		report.Problems = s.problems(invalid)
	case err != nil:
		return Report{}, err
	}
	return report, nil
}

const schemaURL = "mcp:///input-schema"

func compile(raw json.RawMessage) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(refuseToLoad{})
	c.UseRegexpEngine(lenientRegexp)
	if err := c.AddResource(schemaURL, doc); err != nil {
		return nil, err
	}
	return c.Compile(schemaURL)
}

// refuseToLoad keeps a server from having files and addresses read.
type refuseToLoad struct{}

// Load implements jsonschema.URLLoader.
func (refuseToLoad) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %.200s, which is not loaded", url)
}

// lenientRegexp reads patterns, which are ECMA-262's, as far as Go's are the
// same. Others match everything: the server will judge.
func lenientRegexp(pattern string) (jsonschema.Regexp, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return anything(pattern), nil //nolint:nilerr // see above
	}
	return re, nil
}

type anything string

// MatchString implements jsonschema.Regexp.
func (anything) MatchString(string) bool { return true }
func (a anything) String() string        { return string(a) }

// problems tells what the leaves of the tree of errors say.
func (s schema) problems(e *jsonschema.ValidationError) []string {
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		return s.eitherOr(e)
	}
	if len(e.Causes) == 0 {
		return s.sentences(e)
	}
	var out []string
	for _, cause := range e.Causes {
		for _, p := range s.problems(cause) {
			out = appendNew(out, p)
		}
	}
	slices.Sort(out) // the validator walks maps
	return out
}

// eitherOr makes one problem of a value that fits none of several schemas.
func (s schema) eitherOr(e *jsonschema.ValidationError) []string {
	var want []string
	got := ""
	for _, cause := range e.Causes {
		mismatch, ok := cause.ErrorKind.(*kind.Type)
		if !ok || !slices.Equal(cause.InstanceLocation, e.InstanceLocation) {
			want = nil
			break
		}
		want, got = append(want, mismatch.Want...), mismatch.Got
	}
	if want != nil {
		return []string{at(e.InstanceLocation) + "must be " + withArticle(want) + ", not " + got}
	}
	var ways []string
	for _, cause := range e.Causes {
		ways = appendNew(ways, strings.Join(s.problems(cause), "; "))
	}
	if len(ways) == 0 { // matches too many
		return s.sentences(e)
	}
	return []string{strings.Join(ways, "; or ")}
}

// sentences tells one error that has no others below.
func (s schema) sentences(e *jsonschema.ValidationError) []string {
	where := at(e.InstanceLocation)
	holder := s.at(e.InstanceLocation)
	var out []string
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			out = append(out, holder.missing(e.InstanceLocation, name))
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			out = append(out, holder.unknown(e.InstanceLocation, name))
		}
	case *kind.Type:
		out = append(out, where+"must be "+withArticle(k.Want)+", not "+k.Got)
	case *kind.Enum:
		var allowed []string
		for _, v := range k.Want {
			allowed = append(allowed, show(v))
		}
		text := fmt.Sprintf("%smust be one of %s, not %s", where, strings.Join(allowed, ", "), show(k.Got))
		if near := Nearest(show(k.Got), allowed); near != "" {
			text += "; did you mean " + near + "?"
		}
		out = append(out, text)
	default:
		out = append(out, where+e.ErrorKind.LocalizedString(message.NewPrinter(language.English)))
	}
	return out
}

// missing tells of a required property that is not there.
func (s schema) missing(location []string, name string) string {
	text := "missing argument " + dotted(location, name)
	p, _ := s.property(name)
	if kind := p.kind(); kind != "" {
		text += " (" + kind + ")"
	}
	if p.Description != "" {
		text += ": " + firstLine(p.Description)
	}
	return text
}

// unknown tells of a property that the schema does not have.
func (s schema) unknown(location []string, name string) string {
	text := "unknown argument " + dotted(location, name)
	names := s.names()
	switch near := Nearest(name, names); {
	case near != "":
		text += "; did you mean " + dotted(location, near) + "?"
	case len(names) == 0:
		text += "; it takes none"
	case len(names) <= 12:
		text += "; choose from " + strings.Join(names, ", ")
	}
	return text
}

// doubts are the top-level arguments that the schema allows without a word.
func (s schema) doubts(value any) []string {
	members, _ := value.(map[string]any)
	if len(s.names()) == 0 || s.AdditionalProperties != nil {
		return nil // described, forbidden or expected
	}
	var out []string
	for name := range members {
		if _, described := s.property(name); !described {
			out = append(out, s.unknown(nil, name))
		}
	}
	slices.Sort(out)
	return out
}

// at walks to the schema of the value at location.
func (s schema) at(location []string) schema {
	for _, step := range location {
		if p, described := s.property(step); described {
			s = p
		} else {
			s = s.items()
		}
	}
	return s
}

// at is the beginning of a sentence about a value; empty for the whole.
func at(location []string) string {
	if len(location) == 0 {
		return ""
	}
	return strings.Join(location, ".") + ": "
}

func dotted(location []string, name string) string {
	return strings.Join(append(slices.Clone(location), name), ".")
}

func show(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
