// Package catalogue explains the errors that people meet between an MCP client
// and a server behind Microsoft Entra ID: AADSTS codes, OAuth errors, the rules
// by which mcpctl serve refuses tokens, and mcpctl's own messages.
//
// It is data and knows nothing of the rest of mcpctl, so that the client half,
// the server half and the commands can all draw on it.
package catalogue

import (
	"regexp"
	"slices"
	"strings"
)

// A Kind says where an error comes from.
type Kind string

// The kinds of entries.
const (
	KindAADSTS  Kind = "aadsts"  // Entra's number, "AADSTS50011"
	KindOAuth   Kind = "oauth"   // an OAuth error code, "invalid_grant"
	KindRule    Kind = "rule"    // a rule of mcpctl serve, "audience"
	KindStatus  Kind = "http"    // an HTTP status, "HTTP 431"
	KindRPC     Kind = "jsonrpc" // a JSON-RPC error code, "-31001"
	KindMessage Kind = "message" // a message without a code, found by its words
)

// Who names the person who can resolve an error.
type Who string

// Those who fix errors.
const (
	You       Who = "you"
	Admin     Who = "an Entra administrator"
	Developer Who = "whoever registered the application"
	Operator  Who = "whoever runs the MCP server"
	Microsoft Who = "nobody: it passes"
)

// An Entry explains one error to the person who meets it. Its texts are joined
// into sentences, so they end without a full stop.
type Entry struct {
	Code    string // "AADSTS53003", "invalid_grant", "audience", "HTTP 431"; unique
	Kind    Kind
	Title   string // a few words
	Meaning string // what it means for someone using mcpctl
	Who     Who    // who can fix it
	Fix     string // the exact command or portal step
	// Sources are where this is from: names of [Documents], "RFC 6749 section
	// 5.2", or threads as "owner/repository#123".
	Sources []string

	phrases []string // of a message: each in lower case
}

// Hint returns the meaning and the fix in one line.
func (e Entry) Hint() string {
	return e.Meaning + ". " + e.FixFor("URL")
}

// urlPattern finds where a fix has the address of a server stand for itself.
var urlPattern = regexp.MustCompile(`\bURL\b`)

// FixFor is the fix for the server at an address: with the commands as they are
// typed, and who it needs where that is neither the reader nor time.
func (e Entry) FixFor(address string) string {
	fix := urlPattern.ReplaceAllLiteralString(e.Fix, address)
	switch {
	case e.Who != You && e.Who != Microsoft:
		return "This needs " + string(e.Who) + ": " + fix
	case strings.HasPrefix(fix, "mcpctl "):
		return "Run: " + fix
	}
	return fix
}

// tables are all entries, each table in the order in which it is listed.
var tables = [][]Entry{aadsts, oauth, rules, statuses, rpcs, messages}

// All returns all entries: by kind, AADSTS codes in the order of their numbers.
func All() []Entry { return slices.Concat(tables...) }

// byCode finds entries by their code in lower case.
var byCode = func() map[string]Entry {
	m := map[string]Entry{}
	for _, e := range All() {
		m[strings.ToLower(e.Code)] = e
	}
	return m
}()

// Lookup finds the entry for a code: "AADSTS53003", "53003", "invalid_grant",
// "audience", "HTTP 431", "431", "-31001" or "31001".
func Lookup(code string) (Entry, bool) {
	code = strings.ToLower(strings.TrimSpace(code))
	for _, form := range []string{code, "aadsts" + code, "http " + code, "-" + code} {
		if e, ok := byCode[form]; ok {
			return e, true
		}
	}
	return Entry{}, false
}

// LookupRule finds the entry for a rule of mcpctl serve.
func LookupRule(rule string) (Entry, bool) {
	e, ok := byCode[rule]
	return e, ok && e.Kind == KindRule
}
