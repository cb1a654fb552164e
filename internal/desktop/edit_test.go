package desktop

import (
	"errors"
	"strings"
	"testing"
)

// config is a client's file that nothing is read from.
func config(t testing.TB, id string) Config {
	t.Helper()
	c, err := FindClient(id)
	if err != nil {
		t.Fatal(err)
	}
	return Config{Client: c, Path: "FILE"}
}

var contoso = Server{Name: "contoso", Command: "/usr/bin/mcpctl", Args: []string{"bridge", "https://mcp.contoso.com/mcp"}}

func lines(s ...string) string { return strings.Join(s, "\n") + "\n" }

// What an entry looks like in documents as people have them.
func TestAdd(t *testing.T) {
	for name, test := range map[string]struct{ client, before, after string }{
		"no file": {"claude-desktop", "", lines(`{`, `  "mcpServers": {`, `    "contoso": {`, `      "command": "/usr/bin/mcpctl",`,
			`      "args": ["bridge", "https://mcp.contoso.com/mcp"]`, `    }`, `  }`, `}`)},
		"an empty object": {"cursor", "{}", strings.TrimSuffix(lines(`{`, `  "mcpServers": {`, `    "contoso": {`, `      "command": "/usr/bin/mcpctl",`,
			`      "args": ["bridge", "https://mcp.contoso.com/mcp"]`, `    }`, `  }`, `}`), "\n")},
		"comments, a trailing comma and tabs": {"zed",
			lines("{", "\t// mine", "\t\"theme\": \"One\", // light", "}"),
			lines("{", "\t// mine", "\t\"theme\": \"One\", // light", "\t\"context_servers\": {", "\t\t\"contoso\": {", "\t\t\t\"command\": \"/usr/bin/mcpctl\",",
				"\t\t\t\"args\": [\"bridge\", \"https://mcp.contoso.com/mcp\"]", "\t\t}", "\t},", "}")},
		"a comment after the last": {"vscode",
			lines(`{`, `    "servers": {`, `        "a": {"command": "a"} // a's`, `        // more`, `    }`, `}`),
			lines(`{`, `    "servers": {`, `        "a": {"command": "a"}, // a's`, `        // more`, `        "contoso": {`, `            "type": "stdio",`, `            "command": "/usr/bin/mcpctl",`,
				`            "args": ["bridge", "https://mcp.contoso.com/mcp"]`, `        }`, `    }`, `}`)},
		"one line": {"claude-code", `{"a":1,"mcpServers":{}}`,
			`{"a":1,"mcpServers":{"contoso":{"type":"stdio","command":"/usr/bin/mcpctl","args":["bridge","https://mcp.contoso.com/mcp"]}}}`},
		"null":             {"cursor", "{\n  \"mcpServers\": null\n}\n", lines(`{`, `  "mcpServers": {`, `    "contoso": {`, `      "command": "/usr/bin/mcpctl",`, `      "args": ["bridge", "https://mcp.contoso.com/mcp"]`, `    }`, `  }`, `}`)},
		"Windows endings":  {"cursor", "\xef\xbb\xbf{\r\n  \"a\": 1\r\n}", "\xef\xbb\xbf{\r\n  \"a\": 1,\r\n  \"mcpServers\": {\r\n    \"contoso\": {\r\n      \"command\": \"/usr/bin/mcpctl\",\r\n      \"args\": [\"bridge\", \"https://mcp.contoso.com/mcp\"]\r\n    }\r\n  }\r\n}"},
		"only comments":    {"zed", "// Zed settings\n", lines("// Zed settings", `{`, `  "context_servers": {`, `    "contoso": {`, `      "command": "/usr/bin/mcpctl",`, `      "args": ["bridge", "https://mcp.contoso.com/mcp"]`, `    }`, `  }`, `}`)},
		"opencode's shape": {"opencode", "", lines(`{`, `  "$schema": "https://opencode.ai/config.json",`, `  "mcp": {`, `    "contoso": {`, `      "type": "local",`, `      "command": ["/usr/bin/mcpctl", "bridge", "https://mcp.contoso.com/mcp"],`, `      "enabled": true`, `    }`, `  }`, `}`)},

		"TOML": {"codex", lines(`model = "o5" # mine`, ``, `[mcp_servers.a]`, `command = "a"`),
			lines(`model = "o5" # mine`, ``, `[mcp_servers.a]`, `command = "a"`, ``, `[mcp_servers.contoso]`, `command = "/usr/bin/mcpctl"`, `args = ["bridge", "https://mcp.contoso.com/mcp"]`)},
		"TOML, an inline table": {"codex", `mcp_servers = { a = { command = "a" } }`,
			`mcp_servers = { a = { command = "a" }, contoso = { command = "/usr/bin/mcpctl", args = ["bridge", "https://mcp.contoso.com/mcp"] } }`},

		"YAML, no file": {"continue", "", lines(`name: mcpctl`, `version: "0.0.1"`, `schema: v1`, `mcpServers:`, `  - name: contoso`, `    command: /usr/bin/mcpctl`, `    args:`, `      - bridge`, `      - "https://mcp.contoso.com/mcp"`)},
		"YAML, no list": {"continue", lines(`name: Ada's # mine`, `models: []`), lines(`name: Ada's # mine`, `models: []`, `mcpServers:`, `  - name: contoso`, `    command: /usr/bin/mcpctl`, `    args:`, `      - bridge`, `      - "https://mcp.contoso.com/mcp"`)},
		"YAML, a list in between": {"continue", lines(`mcpServers:`, `- name: a`, `  command: a # a's`, ``, `# models`, `models: []`),
			lines(`mcpServers:`, `- name: a`, `  command: a # a's`, `- name: contoso`, `  command: /usr/bin/mcpctl`, `  args:`, `    - bridge`, `    - "https://mcp.contoso.com/mcp"`, ``, `# models`, `models: []`)},
		"YAML, an empty list":      {"continue", "mcpServers: [] # none\n", lines(`mcpServers: # none`, `  - name: contoso`, `    command: /usr/bin/mcpctl`, `    args:`, `      - bridge`, `      - "https://mcp.contoso.com/mcp"`)},
		"YAML, a list in brackets": {"continue", "mcpServers: [{name: a}] # one\n", "mcpServers: [{name: a}, {name: contoso, command: /usr/bin/mcpctl, args: [bridge, \"https://mcp.contoso.com/mcp\"]}] # one\n"},
		"YAML, null":               {"continue", "mcpServers: ~ # none\nx: 1", lines(`mcpServers: # none`, `  - name: contoso`, `    command: /usr/bin/mcpctl`, `    args:`, `      - bridge`, `      - "https://mcp.contoso.com/mcp"`) + "x: 1"},
		"YAML, a text at the end":  {"continue", "rules:\n  - |\n    text", lines(`mcpServers:`, `  - name: contoso`, `    command: /usr/bin/mcpctl`, `    args:`, `      - bridge`, `      - "https://mcp.contoso.com/mcp"`) + "rules:\n  - |\n    text"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t, test.client)
			var before []byte
			if name != "no file" {
				before = []byte(test.before)
			}
			got, err := c.Add(before, contoso, false)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.after {
				t.Errorf("got\n%s\nwant\n%s", got, test.after)
			}
			back, err := c.Remove(got, "contoso", before)
			if err != nil || string(back) != test.before {
				t.Errorf("removed again: %q, %v", back, err)
			}
			if again, err := c.Add(got, contoso, false); err != nil || string(again) != string(got) {
				t.Errorf("adding it twice changes the document: %v", err)
			}
		})
	}
}

// What stays when nobody remembers how the document was.
func TestRemove(t *testing.T) {
	for name, test := range map[string]struct{ client, before, after string }{
		"the last of several":    {"cursor", "{\n  \"mcpServers\": {\n    \"a\": {}, // a\n    \"contoso\": {}\n  }\n}", "{\n  \"mcpServers\": {\n    \"a\": {} // a\n  }\n}"},
		"the first":              {"cursor", "{\n  \"mcpServers\": {\n    \"contoso\": {},\n    \"a\": {}\n  }\n}", "{\n  \"mcpServers\": {\n    \"a\": {}\n  }\n}"},
		"the only":               {"cursor", "{\n  \"mcpServers\": {\n    \"contoso\": {}\n  }\n}", "{\n  \"mcpServers\": {}\n}"},
		"beside a comment":       {"cursor", "{\n  \"mcpServers\": {\n    // keep\n    \"contoso\": {},\n  }\n}", "{\n  \"mcpServers\": {\n    // keep\n  }\n}"},
		"on one line, first":     {"cursor", `{"mcpServers": {"contoso": {}, "a": 1}}`, `{"mcpServers": {"a": 1}}`},
		"on one line, last":      {"cursor", `{"mcpServers": {"a": 1, "contoso": {} }}`, `{"mcpServers": {"a": 1 }}`},
		"TOML with subtables":    {"codex", "[mcp_servers.contoso]\ncommand = \"x\"\n[mcp_servers.contoso.env]\nA = \"1\"\n\n# next\n[b]\n", "\n# next\n[b]\n"},
		"TOML, a line":           {"codex", "[mcp_servers]\ncontoso = { command = \"x\" } # c\na = { command = \"y\" }\n", "[mcp_servers]\na = { command = \"y\" }\n"},
		"TOML, in braces, first": {"codex", "mcp_servers = { contoso = { a = \",}\" }, b = {} }", "mcp_servers = { b = {} }"},
		"TOML, in braces, last":  {"codex", "mcp_servers = { b = {}, contoso = { a = [1, 2] } } # c", "mcp_servers = { b = {} } # c"},
		"TOML, dotted":           {"codex", "mcp_servers.contoso.command = \"x\"\nmcp_servers.contoso.args = [\n \"]\", # ]\n]\nb = 1\n", "b = 1\n"},
		"YAML, in between":       {"continue", "mcpServers:\n  - name: a\n  # c\n  - name: contoso\n    args:\n      - x\n\n  - name: b\n", "mcpServers:\n  - name: a\n  # c\n\n  - name: b\n"},
		"YAML, the only":         {"continue", "mcpServers:\n  - name: contoso\nb: 1\n", "mcpServers: []\nb: 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := config(t, test.client).Remove([]byte(test.before), "contoso")
			if err != nil || string(got) != test.after {
				t.Errorf("got\n%s\n%v\nwant\n%s", got, err, test.after)
			}
		})
	}
}

// What can't be read, or can't be edited, is refused with its place or with
// the text to paste.
func TestRefused(t *testing.T) {
	for name, test := range map[string]struct{ client, doc, want string }{
		"a missing comma":               {"cursor", "{\n  \"a\": 1\n  \"b\": 2\n}", "FILE can't be parsed, and was left as it is: line 3, column 3: "},
		"a comment in strict JSON":      {"claude-desktop", "{\n  // no\n}", "FILE can't be parsed, and was left as it is: line 2, column 3: "},
		"half a file":                   {"claude-code", `{"mcpServers": {`, "FILE can't be parsed, and was left as it is: line 1, column "},
		"a name twice":                  {"vscode", "{\"servers\": {},\n\"servers\": {}}", `FILE can't be parsed, and was left as it is: line 2, column 1: "servers" is there twice`},
		"another kind of value":         {"cursor", `{"mcpServers": []}`, "mcpServers should be a table of names and values, and is a list"},
		"no object at all":              {"cursor", `[1]`, "it should be a table of names and values, and is a list"},
		"UTF-16":                        {"cursor", "\xff\xfe{\x00}\x00", "FILE can't be parsed, and was left as it is: line 1, column 1: not UTF-8 text"},
		"nesting":                       {"cursor", strings.Repeat("[", 100_000), "nested too deeply"},
		"TOML":                          {"codex", "a = 1\nb = = 2\n", "FILE can't be parsed, and was left as it is: line 2, column 5: "},
		"TOML, a key twice":             {"codex", "a = 1\na = 2\n", "FILE can't be parsed, and was left as it is: line 2, column 1: "},
		"YAML":                          {"continue", "a: b\nc: [1\n", "can't be parsed"},
		"YAML, two documents":           {"continue", "a: b\n---\nc: d\n", "has more than one YAML document"},
		"YAML, a key twice":             {"continue", "a: b\na: d\n", "FILE can't be parsed, and was left as it is: line 2, column 1: "},
		"YAML in braces":                {"continue", "{a: b}\n", "FILE is written in a way that can't be edited safely. Add this to it by hand:\nmcpServers:\n  - name: contoso\n"},
		"YAML, an alias for the list":   {"continue", "x: &x\n  - name: a\nmcpServers: *x\n", "Add this to it by hand"},
		"a table that is closed (TOML)": {"codex", "mcp_servers = 1\n", "mcp_servers should be a table"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := config(t, test.client).Add([]byte(test.doc), contoso, false)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestNameIsTaken(t *testing.T) {
	for id, doc := range map[string]string{
		"cursor":   "{\n  \"mcpServers\": {\n    \"contoso\": {\"command\": \"x\", \"disabled\": true}, // c\n    \"z\": {}\n  }\n}\n",
		"codex":    "[mcp_servers.contoso]\ncommand = \"x\"\n# c\nargs = []\n\n[z]\n",
		"continue": "mcpServers:\n  - name: contoso\n    command: x\n  - name: z\n",
	} {
		t.Run(id, func(t *testing.T) {
			c := config(t, id)
			if _, err := c.Add([]byte(doc), contoso, false); !errors.Is(err, ErrTaken) {
				t.Fatalf("got %v", err)
			}
			got, err := c.Add([]byte(doc), contoso, true)
			if err != nil {
				t.Fatal(err)
			}
			list, err := c.Servers(got)
			if err != nil || !list[0].equal(contoso) {
				t.Errorf("got %v, %v in\n%s", list, err, got)
			}
			if strings.Index(string(got), "contoso") > strings.LastIndex(string(got), "z") {
				t.Errorf("the entry moved:\n%s", got)
			}
		})
	}
}

// Foreign bytes never crash, and what is handed out is never half of an edit.
func FuzzAddAndRemove(f *testing.F) {
	for i, c := range clients {
		for _, doc := range []string{"", "{}", "{\"mcpServers\": {\"a\": {}},}", "a = 1\n[b]\n", "mcp_servers = { a = {} }", "a: b\nmcpServers:\n  - name: x\n", "mcpServers: [\n]", "// c"} {
			f.Add(uint8(i), []byte(doc))
		}
		_ = c
	}
	f.Fuzz(func(t *testing.T, client uint8, doc []byte) {
		c := Config{Client: clients[int(client)%len(clients)], Path: "FILE"}
		added, err := c.Add(doc, contoso, false)
		if err != nil {
			return
		}
		if list, err := c.Servers(added); err != nil || !slicesContain(list, contoso) {
			t.Fatalf("the entry is not there: %v in %q", err, added)
		}
		if before, _ := c.Servers(doc); slicesContain(before, contoso) {
			return
		}
		if back, err := c.Remove(added, "contoso", doc); err != nil || string(back) != string(doc) {
			t.Fatalf("from %q through %q to %q, %v", doc, added, back, err)
		}
		_, _ = c.Remove(added, "contoso")
	})
}

func slicesContain(list []Server, s Server) bool {
	for _, other := range list {
		if other.equal(s) {
			return true
		}
	}
	return false
}
