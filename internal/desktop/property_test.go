package desktop

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Adding servers to any document and removing them again, in any order, gives
// the original bytes, whatever the document's style.
func TestAddAndRemoveGivesTheOriginal(t *testing.T) {
	for _, c := range Clients() {
		t.Run(c.ID, func(t *testing.T) {
			config := config(t, c.ID)
			rapid.Check(t, func(t *rapid.T) {
				doc := drawDocument(t, c)
				if _, err := config.Servers(doc); err != nil {
					t.Fatalf("the document is not one: %v\n%s", err, doc)
				}
				versions := [][]byte{doc}
				names := []string{"one", "two", "three"}[:rapid.IntRange(1, 3).Draw(t, "servers")]
				now := doc
				for _, name := range names {
					next, err := config.Add(now, drawServer(t, name), false)
					if err != nil {
						t.Fatalf("adding: %v\n%s", err, now)
					}
					now = next
					versions = append([][]byte{now}, versions...)
				}
				full := now
				for _, name := range rapid.Permutation(names).Draw(t, "order") {
					next, err := config.Remove(now, name, versions...)
					if err != nil {
						t.Fatalf("removing: %v\n%s", err, now)
					}
					now = next
					versions = append([][]byte{now}, versions...)
				}
				if !bytes.Equal(now, doc) || (now == nil) != (doc == nil) {
					t.Fatalf("from\n%q\nthrough\n%q\nto\n%q", doc, full, now)
				}
			})
		})
	}
}

// Without memory of earlier versions, and beside other edits, removing takes the
// entry alone: what people wrote stays.
func TestRemoveKeepsTheRest(t *testing.T) {
	for _, id := range []string{"cursor", "claude-code", "codex", "continue"} {
		t.Run(id, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				c, _ := FindClient(id)
				config := Config{Client: c, Path: "FILE"}
				doc := drawDocument(t, c)
				added, err := config.Add(doc, drawServer(t, "one"), false)
				if err != nil {
					t.Fatal(err)
				}
				got, err := config.Remove(added, "one")
				if err != nil && c.list && strings.Contains(string(added), "[") {
					return // a list in brackets is left to people
				}
				if err != nil {
					t.Fatalf("%v\n%s", err, added)
				}
				for _, comment := range comments(doc) {
					if !bytes.Contains(got, []byte(comment)) {
						t.Fatalf("%q is lost in\n%s", comment, got)
					}
				}
			})
		})
	}
}

func comments(doc []byte) (list []string) {
	for i := range 40 {
		if c := fmt.Sprintf("comment %d;", i); bytes.Contains(doc, []byte(c)) {
			list = append(list, c)
		}
	}
	return list
}

func drawServer(t *rapid.T, name string) Server {
	s := Server{Name: name, Command: rapid.SampledFrom([]string{"/usr/bin/mcpctl", `C:\Program Files\mcpctl\mcpctl.exe`, "npx", "/o'brien/\u00e9/mcpctl"}).Draw(t, "command")}
	s.Args = []string{"bridge", rapid.SampledFrom([]string{"https://a.example/mcp", "https://a.example/mcp?a=1&b=<2>", "http://[::1]:8080/x#y"}).Draw(t, "url")}
	if rapid.Bool().Draw(t, "env") {
		s.Env = map[string]string{"MCPCTL_CONFIG_DIR": rapid.SampledFrom([]string{"/x y", `C:\x`, "true", ""}).Draw(t, "dir")}
	}
	return s
}

// A writer draws documents with style.
type writer struct {
	*rapid.T
	b        strings.Builder
	nl       string
	comments int
}

func drawDocument(t *rapid.T, c Client) []byte {
	w := &writer{T: t, nl: rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "nl")}
	if rapid.IntRange(0, 19).Draw(t, "no file") == 0 {
		return nil
	}
	if rapid.IntRange(0, 4).Draw(t, "bom") == 0 && c.ID != "claude-code" {
		w.b.WriteString("\xef\xbb\xbf")
	}
	switch s := c.syntax.(type) {
	case jsonSyntax:
		w.json(c, s.strict)
	case tomlSyntax:
		w.toml()
	case yamlSyntax:
		w.yaml()
	}
	return []byte(w.b.String())
}

func (w *writer) chance(of int) bool { return rapid.IntRange(1, of).Draw(w.T, "chance") == 1 }

func (w *writer) comment() string {
	w.comments++
	return fmt.Sprintf("comment %d; [{\"'", w.comments)
}

func (w *writer) json(c Client, strict bool) {
	style := jsonStyle{indent: rapid.SampledFrom([]string{"  ", "    ", "\t", " "}).Draw(w.T, "indent"), strict: strict, flat: w.chance(4)}
	if w.chance(8) {
		style.flat = true
	}
	if !strict && w.chance(4) {
		w.b.WriteString("// " + w.comment() + w.nl)
	}
	if w.chance(12) {
		return // blank
	}
	w.object(style, 0, c.place[0])
	if !w.chance(3) {
		w.b.WriteString(w.nl)
	}
	if !strict && w.chance(5) {
		w.b.WriteString("/* " + w.comment() + " */")
	}
}

type jsonStyle struct {
	indent       string
	strict, flat bool
}

func (w *writer) object(s jsonStyle, depth int, place string) {
	w.b.WriteByte('{')
	pad := func(d int) {
		if !s.flat {
			w.b.WriteString(w.nl + strings.Repeat(s.indent, d))
		} else if w.chance(3) {
			w.b.WriteByte(' ')
		}
	}
	n := rapid.IntRange(0, 3).Draw(w.T, "members")
	at := -1
	if place != "" && w.chance(2) {
		at, n = rapid.IntRange(0, n).Draw(w.T, "at"), n+1
	}
	for i := range n {
		if !s.strict && w.chance(6) {
			pad(depth + 1)
			w.b.WriteString("/* " + w.comment() + " */")
		}
		pad(depth + 1)
		name := fmt.Sprintf("k%d", i)
		if i == at {
			name = place
		}
		w.b.WriteString(quoteJSON(name) + rapid.SampledFrom([]string{":", ": ", " : "}).Draw(w.T, "colon"))
		switch {
		case i == at && w.chance(8):
			w.b.WriteString("null")
		case i == at:
			inner := s
			inner.flat = s.flat || w.chance(5)
			w.object(inner, depth+1, "")
		default:
			w.value(s, depth+1)
		}
		if i < n-1 {
			w.b.WriteByte(',')
		} else if !s.strict && w.chance(3) {
			w.b.WriteByte(',')
		}
		if !s.strict && !s.flat && w.chance(4) {
			w.b.WriteString(" // " + w.comment())
		}
	}
	if n > 0 || w.chance(3) {
		pad(depth)
	}
	w.b.WriteByte('}')
}

func (w *writer) value(s jsonStyle, depth int) {
	switch kind := rapid.IntRange(0, 5).Draw(w.T, "kind"); {
	case kind == 0 && depth < 4:
		w.object(s, depth, "")
	case kind == 1:
		w.b.WriteString("[1, [true], {}]")
	default:
		w.b.WriteString(rapid.SampledFrom([]string{`"a // \" { text"`, "12345678901234567890123", "-1.50e7", "null", "false", `"\u00e9"`, `"é"`}).Draw(w.T, "value"))
	}
}

func (w *writer) toml() {
	value := func() string {
		return rapid.SampledFrom([]string{`"a # \" ["`, `'C:\x'`, "1_000", "nan", "1979-05-27T07:32:00-08:00", "[ 1,\n 2, # ]\n]",
			`"""` + "\n[x]\n\"\"" + `"""`, "'''\n''y''''", "{ a = 1, b = { c = \"}\" } }"}).Draw(w.T, "value")
	}
	inline := w.chance(6)
	line := func(text string) {
		for w.chance(4) {
			w.b.WriteString(rapid.SampledFrom([]string{"", "  ", "# " + w.comment()}).Draw(w.T, "between") + w.nl)
		}
		w.b.WriteString(text)
		if w.chance(4) {
			w.b.WriteString(" # " + w.comment())
		}
		w.b.WriteString(w.nl)
	}
	keys := rapid.SampledFrom([]string{"k%d = ", "\"k %d\" = ", "d.k%d =", "  k%d="})
	for i := range rapid.IntRange(0, 3).Draw(w.T, "keys") {
		line(fmt.Sprintf(keys.Draw(w.T, "key"), i) + strings.ReplaceAll(value(), "\n", w.nl))
	}
	if inline {
		line(rapid.SampledFrom([]string{"mcp_servers = {}", "mcp_servers = { a = { command = \"}\" } }", "mcp_servers.a.command = \"x\""}).Draw(w.T, "inline"))
	}
	for i := range rapid.IntRange(0, 3).Draw(w.T, "tables") {
		line(fmt.Sprintf(rapid.SampledFrom([]string{"[t%d]", "[ \"t]\" . t%d ]", "[[t%d]]"}).Draw(w.T, "table"), i))
		for j := range rapid.IntRange(0, 2).Draw(w.T, "rows") {
			line(fmt.Sprintf("r%d = ", j) + strings.ReplaceAll(value(), "\n", w.nl))
		}
	}
	if !inline && w.chance(2) {
		line(rapid.SampledFrom([]string{"[mcp_servers]", "[mcp_servers.a]", "[mcp_servers.\"a b\".env]"}).Draw(w.T, "servers"))
		if w.chance(2) {
			line("x = {}")
		}
	}
	w.ending()
}

// ending may take the last line's end away, or add empty lines.
func (w *writer) ending() {
	text := w.b.String()
	switch rapid.IntRange(0, 3).Draw(w.T, "ending") {
	case 0:
		w.b.Reset()
		w.b.WriteString(strings.TrimSuffix(text, w.nl))
	case 1:
		w.b.WriteString(w.nl)
	}
}

func (w *writer) yaml() {
	line := func(text string) {
		for w.chance(4) {
			w.b.WriteString(rapid.SampledFrom([]string{"", "# " + w.comment()}).Draw(w.T, "between") + w.nl)
		}
		w.b.WriteString(strings.ReplaceAll(text, "\n", w.nl) + w.nl)
	}
	if w.chance(6) {
		line("---")
	}
	member := func(i int) {
		line(fmt.Sprintf(rapid.SampledFrom([]string{
			"k%d: text # " + w.comment(), "k%d: |\n  # no comment\n  - text", "k%d: >-\n  folded\n\n  more", "k%d:\n  - a\n  - b: c", "k%d:\n- a", "k%d: {a: [1, 2]}",
			"k%d: .nan", "k%d: 'it''s'", "\"k%d\": \"a\\n\"", "k%d: !!str 12", "k%d: &a%[1]d [x]", "k%d: 2001-12-14",
		}).Draw(w.T, "member"), i))
	}
	n := rapid.IntRange(0, 3).Draw(w.T, "members")
	for i := range n {
		member(i)
	}
	if w.chance(2) {
		dash := rapid.SampledFrom([]string{"", "  ", "    "}).Draw(w.T, "dash")
		list := rapid.SampledFrom([]string{"mcpServers:", "mcpServers: # c", "mcpServers: null", "mcpServers: []", "mcpServers: [ ]", "mcpServers: [{name: a}]", "mcpServers: [\n  {name: a},\n  ]", "block"}).Draw(w.T, "list")
		if list == "block" {
			line("mcpServers:")
			for i := range rapid.IntRange(1, 3).Draw(w.T, "items") {
				line(dash + fmt.Sprintf(rapid.SampledFrom([]string{
					"- name: s%d\n" + dash + "  command: x # " + w.comment(),
					"- command: >\n" + dash + "      - x\n" + dash + "  name: s%d",
					"-\n" + dash + "  name: s%d", "- {name: s%d, args: [a]}", "- name: s%d\n" + dash + "  args:\n" + dash + "  - a",
				}).Draw(w.T, "item"), i))
			}
		} else {
			line(list)
		}
		for i := range rapid.IntRange(0, 2).Draw(w.T, "more") {
			member(n + i)
		}
	}
	w.ending()
}
