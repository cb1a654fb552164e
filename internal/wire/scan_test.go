package wire

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// jsonTexts are values and non-values around each rule of RFC 8259.
var jsonTexts = []string{
	`0`, `-0`, `01`, `-`, `+1`, `1.`, `.5`, `1.5`, `1e5`, `1E+5`, `1e-`, `1e`, `0x1`, `1_0`, `--1`, `-01`, `1.e1`,
	`true`, `tru`, `truefalse`, `false`, `null`, `nul`, `True`, `NaN`, `Infinity`,
	`""`, `"`, `"a`, `"\"`, `"\\"`, `"\n\r\t\b\f\/\""`, `"\x"`, `"\u00e9"`, `"\u00g9"`, `"\u12"`, `"\ud83d\ude00"`, `"\ud800"`,
	"\"\x1f\"", "\"\x7f\"", "\"\xff\"", "\"12345678\x01\"", `"1234567\"8"`, `"12345678901234567890"`,
	`[]`, `[ ]`, `[1]`, `[1,]`, `[,1]`, `[1 2]`, `[1,2`, `[`, `]`, `[[]]`, `[}`, `{]`,
	`{}`, `{ }`, `{"a":1}`, `{"a":1,}`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1 "b":2}`, `{"a":1,"b":[{"c":null}]}`, `{,}`, `{"a":1`, `{"a"`, `{"a":`, `{1:2}`,
	"\u00a01", "\ufeff1", "\v1", "1\f", ` 1`, "\t[\n1\r]\n",
}

func TestSkipValueAgreesWithEncodingJSON(t *testing.T) {
	for _, text := range jsonTexts {
		checkValid(t, text)
	}
}

func checkValid(t *testing.T, text string) {
	t.Helper()
	trimmed := []byte(strings.Trim(text, " \t\r\n"))
	err := wholeValue(trimmed)
	if want := json.Valid([]byte(text)); want != (err == nil) {
		t.Errorf("%q: json.Valid says %t, skipValue %v", text, want, err)
	}
	if err != nil && !errors.Is(err, errSyntax) {
		t.Errorf("%q: %v is no syntax error", text, err)
	}
}

// Random compositions of the texts above, with random bytes changed.
func TestSkipValueAgreesOnRandomTexts(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var compose func(depth int) string
	compose = func(depth int) string {
		switch n := rnd.IntN(4); {
		case depth == 0 || n == 0:
			return jsonTexts[rnd.IntN(len(jsonTexts))]
		case n == 1:
			return "[" + compose(depth-1) + "," + compose(depth-1) + "]"
		case n == 2:
			return `{"k": ` + compose(depth-1) + ` , "l":` + compose(depth-1) + "}"
		default:
			return `"` + strings.Repeat("s", rnd.IntN(40)) + `"`
		}
	}
	for range 20_000 {
		text := []byte(compose(4))
		for range rnd.IntN(3) {
			if len(text) > 0 {
				text[rnd.IntN(len(text))] = "\"\\{}[],: \n019eut\x00\x80"[rnd.IntN(18)]
			}
		}
		checkValid(t, string(text))
	}
}

func TestSkipValueDepth(t *testing.T) {
	for _, open := range []string{"[", `{"a":`} {
		shut := map[string]string{"[": "]", `{"a":`: "}"}[open]
		for _, n := range []int{maxDepth, maxDepth + 1} {
			checkValid(t, strings.Repeat(open, n)+"1"+strings.Repeat(shut, n))
		}
	}
}

// A special byte at each place of the eight that are looked at together.
func TestSkipStringFindsItsEnd(t *testing.T) {
	for at := range 40 {
		plain := strings.Repeat("\x7f", at/2) + strings.Repeat("\xff", at-at/2)
		for _, tail := range []string{`"`, `\""`, "\x00\"", "\x1f\"", ` "`, "\x80\"", `\u00e9"`, `\q"`, ``} {
			checkValid(t, `"`+plain+tail)
			checkValid(t, `"`+plain+tail+`,`)
		}
	}
}

func TestSyntaxErrorsNameThePlace(t *testing.T) {
	tests := []struct{ raw, want string }{
		{`{"a":1,}`, "invalid JSON at byte 7: expected a member name"},
		{`[1 2]`, "invalid JSON at byte 3: expected a comma or a closing bracket"},
		{`[NaN]`, "invalid JSON at byte 1: not a JSON value"},
		{"\"a\nb\"", "invalid JSON at byte 2: control character in a string"},
		{`[1]x`, "invalid JSON at byte 3: text after the value"},
		{`{"a"`, "invalid JSON at byte 4: expected a colon"},
	}
	for _, tt := range tests {
		if err := wholeValue([]byte(tt.raw)); err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, want %s", tt.raw, err, tt.want)
		}
	}
}
