package registration

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// shellQuote makes one word of a POSIX shell that stands for s, whatever is in it.
func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// shellComment is s as part of a comment: on one line.
func shellComment(s string) string { return strings.Join(strings.Fields(s), " ") }

var bicepEscapes = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "${", `\${`, "\n", `\n`, "\r", `\r`, "\t", `\t`)

// bicepQuote makes a string of Bicep ("Data types in Bicep", strings).
func bicepQuote(s string) string { return "'" + bicepEscapes.Replace(s) + "'" }

// plainYAML is what needs no quotes in YAML whoever reads it.
var plainYAML = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./@+-]*(:[A-Za-z0-9_./@+-]+)*$`)

// yamlQuote makes a scalar of YAML that is read as text.
func yamlQuote(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		return `"` + s + `"`
	}
	if plainYAML.MatchString(s) {
		return s
	}
	return string(compactJSON(s)) // YAML 1.2 takes JSON's strings
}

func compactJSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("registration: " + err.Error()) // only for types that JSON has no form for
	}
	return bytes.TrimSpace(b.Bytes())
}

func indentedJSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		panic("registration: " + err.Error()) // as above
	}
	return b.Bytes()
}
