package cmd

import (
	"fmt"
	"strings"

	"github.com/mcpctl/mcpctl/internal/catalogue"
)

// explanation is an entry of the catalogue as -o json prints it. The field
// names are stable.
type explanation struct {
	Code    string              `json:"code"`
	Kind    catalogue.Kind      `json:"kind"`
	Title   string              `json:"title"`
	Meaning string              `json:"meaning"`
	Who     catalogue.Who       `json:"who"`
	Fix     string              `json:"fix"`
	Sources []explanationSource `json:"sources"`
}

type explanationSource struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

func explanations(entries []catalogue.Entry) []explanation {
	out := make([]explanation, len(entries))
	for i, e := range entries {
		out[i] = explanation{Code: e.Code, Kind: e.Kind, Title: e.Title, Meaning: e.Meaning, Who: e.Who, Fix: e.Fix}
		for _, s := range e.Sources {
			out[i].Sources = append(out[i].Sources, explanationSource{s, catalogue.SourceURL(s)})
		}
	}
	return out
}

func foundJSON(f catalogue.Found) any {
	return struct {
		Entries       []explanation `json:"entries"`
		Unknown       []string      `json:"unknown"`
		CorrelationID string        `json:"correlation_id,omitempty"`
		TraceID       string        `json:"trace_id,omitempty"`
	}{explanations(f.Entries), append([]string{}, f.Unknown...), f.CorrelationID, f.TraceID}
}

// labelWidth is the room before the texts of an entry.
const labelWidth = 11

// printFound prints entries. What says little beside a more precise one, such
// as OAuth's invalid_grant beside an AADSTS code, is only named, unless all was
// asked for by code.
func printFound(s screen, f catalogue.Found, exact bool) error {
	full, brief := f.Entries, []catalogue.Entry(nil)
	if !exact {
		full, brief = splitFound(f.Entries)
	}
	for i, e := range full {
		if i > 0 {
			if err := s.line(""); err != nil {
				return err
			}
		}
		if err := printEntry(s, e); err != nil {
			return err
		}
	}
	var notes []string
	for _, e := range brief {
		notes = append(notes, fmt.Sprintf("With it: %s, %s. For more: mcpctl explain %s", e.Code, e.Title, strings.TrimPrefix(strings.TrimPrefix(e.Code, "HTTP "), "-")))
	}
	if len(full) > 0 && len(f.Unknown) > 0 {
		notes = append(notes, "Not known to mcpctl: "+strings.Join(f.Unknown, ", "))
	}
	for _, id := range []struct{ name, value string }{{"correlation id", f.CorrelationID}, {"trace id", f.TraceID}} {
		if id.value != "" {
			notes = append(notes, "For an administrator or Microsoft: "+id.name+" "+id.value)
		}
	}
	if len(full) > 0 && len(notes) > 0 {
		notes = append([]string{""}, notes...)
	}
	for _, note := range notes {
		for _, line := range wrap(note, s.width) {
			if err := s.line("%s", line); err != nil {
				return err
			}
		}
	}
	return nil
}

// splitFound separates the most precise entries from what accompanies them.
func splitFound(entries []catalogue.Entry) (full, brief []catalogue.Entry) {
	vague := func(e catalogue.Entry) bool {
		return e.Kind == catalogue.KindOAuth || e.Kind == catalogue.KindStatus || e.Kind == catalogue.KindRPC
	}
	for _, e := range entries {
		if vague(e) {
			brief = append(brief, e)
		} else {
			full = append(full, e)
		}
	}
	if len(full) == 0 {
		return brief, nil
	}
	return full, brief
}

func printEntry(s screen, e catalogue.Entry) error {
	for i, line := range wrap(e.Code+" "+e.Title, s.width-1) {
		if title, ok := strings.CutPrefix(line, e.Code); ok && i == 0 {
			line = s.bold(e.Code) + " " + title
		}
		if err := s.line("%s", line); err != nil {
			return err
		}
	}
	var sources []string
	for _, source := range e.Sources {
		sources = append(sources, catalogue.SourceURL(source))
	}
	for _, part := range []struct{ label, text string }{
		{"Means", e.Meaning + "."}, {"Who", whoSentence(e.Who)}, {"Do", e.Fix}, {"Sources", strings.Join(sources, "\n")},
	} {
		if err := printPart(s, part.label, part.text, part.label == "Sources"); err != nil {
			return err
		}
	}
	return nil
}

func whoSentence(who catalogue.Who) string {
	switch who {
	case catalogue.You:
		return "You can fix this yourself."
	case catalogue.Microsoft:
		return "Nobody has to: it passes."
	}
	return "This needs " + string(who) + "."
}

// printPart prints a labelled text. Addresses are not broken, so that terminals
// still find them.
func printPart(s screen, label, text string, whole bool) error {
	lines := strings.Split(text, "\n")
	if !whole {
		lines = wrap(text, max(s.width-labelWidth, 20))
	}
	for i, line := range lines {
		if i > 0 {
			label = ""
		}
		if whole {
			line = s.dim(line)
		}
		if err := s.line("  %-*s%s", labelWidth-2, label, line); err != nil {
			return err
		}
	}
	return nil
}

var kindTitles = []struct {
	kind  catalogue.Kind
	title string
}{
	{catalogue.KindAADSTS, "Codes of Microsoft Entra"},
	{catalogue.KindOAuth, "OAuth errors"},
	{catalogue.KindRule, "Rules of mcpctl serve"},
	{catalogue.KindStatus, "HTTP statuses"},
	{catalogue.KindRPC, "JSON-RPC error codes"},
	{catalogue.KindMessage, "Other messages"},
}

func listCodes(s screen) error {
	for i, k := range kindTitles {
		if i > 0 {
			if err := s.line(""); err != nil {
				return err
			}
		}
		if err := s.line("%s", s.bold(k.title)); err != nil {
			return err
		}
		for _, e := range catalogue.All() {
			if e.Kind != k.kind {
				continue
			}
			if err := s.line("%s", cut(fmt.Sprintf("  %-33s%s", e.Code, e.Title), s.width)); err != nil {
				return err
			}
		}
	}
	return nil
}
