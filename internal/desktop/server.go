package desktop

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"
)

// A Server is an entry of a client's configuration: the command that the client
// starts and speaks MCP with on standard input and output.
type Server struct {
	Name    string
	Command string
	Args    []string
	// Env is added to the few variables that clients pass on.
	Env map[string]string
}

// Bridge tells whether the server is `mcpctl bridge`, by its path or through
// npx, and of which address.
func (s Server) Bridge() (url string, ok bool) {
	words := append([]string{s.Command}, s.Args...)
	at := slices.IndexFunc(words, isMcpctl)
	if at > 0 && !slices.ContainsFunc(words[:at], func(w string) bool { return base(w) == "npx" }) {
		return "", false
	}
	if at < 0 || len(words) < at+3 || words[at+1] != "bridge" {
		return "", false
	}
	for _, word := range words[at+2:] {
		if strings.HasPrefix(word, "https://") || strings.HasPrefix(word, "http://") {
			return word, true
		}
	}
	return "", false
}

// isMcpctl knows the program by its file's name, and the npm package with or
// without a version.
func isMcpctl(word string) bool {
	name, _, _ := strings.Cut(base(word), "@")
	return name == "mcpctl"
}

// base is the name of a program, of any system's path.
func base(word string) string {
	name := path.Base(strings.ReplaceAll(word, `\`, "/"))
	for _, suffix := range []string{".exe", ".cmd"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return name
}

// equal tells whether a client would start the same program.
func (s Server) equal(other Server) bool {
	return s.Name == other.Name && s.Command == other.Command && slices.Equal(s.Args, other.Args) && maps.Equal(s.Env, other.Env)
}

// A field is a member of an entry as it is written. Its value is a string, a
// bool, a []string or fields.
type field struct {
	key   string
	value any
}

type fields []field

// value is what a parser makes of fields.
func (f fields) value() map[string]any {
	m := map[string]any{}
	for _, field := range f {
		switch v := field.value.(type) {
		case fields:
			m[field.key] = v.value()
		case []string:
			list := make([]any, len(v))
			for i, s := range v {
				list[i] = s
			}
			m[field.key] = list
		default:
			m[field.key] = v
		}
	}
	return m
}

// environment is env in order, or nothing.
func environment(key string, env map[string]string) fields {
	if len(env) == 0 {
		return nil
	}
	var vars fields
	for _, name := range slices.Sorted(maps.Keys(env)) {
		vars = append(vars, field{name, env[name]})
	}
	return fields{{key, vars}}
}

// readServer understands an entry of any client.
func readServer(name string, entry any) Server {
	m, _ := entry.(map[string]any)
	s := Server{Name: name, Args: stringsOf(m["args"])}
	switch command := m["command"].(type) {
	case string:
		s.Command = command
	case []any:
		if words := stringsOf(command); len(words) > 0 {
			s.Command, s.Args = words[0], words[1:]
		}
	}
	for _, key := range []string{"env", "environment"} {
		vars, _ := m[key].(map[string]any)
		for name, value := range vars {
			if text, ok := value.(string); ok {
				if s.Env == nil {
					s.Env = map[string]string{}
				}
				s.Env[name] = text
			}
		}
	}
	return s
}

func stringsOf(list any) []string {
	items, _ := list.([]any)
	var words []string
	for _, item := range items {
		if text, ok := item.(string); ok {
			words = append(words, text)
		}
	}
	return words
}

func sortServers(list []Server) []Server {
	slices.SortFunc(list, func(a, b Server) int { return cmp.Compare(a.Name, b.Name) })
	return list
}
