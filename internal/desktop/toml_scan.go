package desktop

import (
	"bytes"

	"github.com/pelletier/go-toml/v2"
)

// A tomlStatement is a table's header, or a key with its value.
type tomlStatement struct {
	header     bool
	path       []string // from the document's root
	start, end int      // without white space and comments around
	value      int      // where the value starts
}

// scanTOML finds the statements of a document that is known to be right.
func scanTOML(doc []byte) []tomlStatement {
	var list []tomlStatement
	var table []string
	for i := 0; ; {
		i = skipTOML(doc, i)
		if i >= len(doc) {
			return list
		}
		st := tomlStatement{start: i}
		if doc[i] == '[' {
			st.header = true
			for i < len(doc) && doc[i] == '[' {
				i++
			}
			table, i = scanKey(doc, i)
			for i < len(doc) && doc[i] == ']' {
				i++
			}
			st.path, st.value = table, i
		} else {
			var key []string
			key, i = scanKey(doc, i)
			if i >= len(doc) || doc[i] != '=' {
				return list // not TOML after all
			}
			i = skipSpace(doc, i+1)
			st.path, st.value = append(append([]string{}, table...), key...), i
			i = scanValue(doc, i)
		}
		st.end = i
		list = append(list, st)
		i = lineEnd(doc, i)
	}
}

func skipSpace(doc []byte, i int) int {
	for i < len(doc) && (doc[i] == ' ' || doc[i] == '\t') {
		i++
	}
	return i
}

// skipTOML skips white space, line ends and comments.
func skipTOML(doc []byte, i int) int {
	for i < len(doc) {
		switch doc[i] {
		case ' ', '\t', '\r', '\n':
			i++
		case '#':
			i = lineEnd(doc, i)
		default:
			return i
		}
	}
	return i
}

// scanKey reads a dotted key and the space after it.
func scanKey(doc []byte, i int) (key []string, end int) {
	for {
		i = skipSpace(doc, i)
		start := i
		if i < len(doc) && (doc[i] == '"' || doc[i] == '\'') {
			i = scanString(doc, i)
			var v struct{ K string }
			_ = toml.Unmarshal(append([]byte("K="), doc[start:i]...), &v)
			key = append(key, v.K)
		} else {
			for i < len(doc) && bytes.IndexByte([]byte(" \t\r\n.=]#"), doc[i]) < 0 {
				i++
			}
			key = append(key, string(doc[start:i]))
		}
		if i = skipSpace(doc, i); i >= len(doc) || doc[i] != '.' {
			return key, i
		}
		i++
	}
}

// scanValue is the offset after the value at i, which ends with its line, at a
// comment, or inside brackets before a comma or the closing one.
func scanValue(doc []byte, i int) int {
	depth := 0
	for i < len(doc) {
		switch doc[i] {
		case '"', '\'':
			i = scanString(doc, i)
			if depth == 0 {
				return i
			}
		case '[', '{':
			depth++
			i++
		case ']', '}':
			if depth == 0 {
				return trimmedEnd(doc, i)
			}
			i++
			if depth--; depth == 0 {
				return i
			}
		case ',':
			if depth == 0 {
				return trimmedEnd(doc, i)
			}
			i++
		case '#':
			if depth == 0 {
				return trimmedEnd(doc, i)
			}
			i = lineEnd(doc, i)
		case '\n':
			if depth == 0 {
				return trimmedEnd(doc, i)
			}
			i++
		default:
			i++
		}
	}
	return trimmedEnd(doc, i)
}

func trimmedEnd(doc []byte, i int) int { return len(bytes.TrimRight(doc[:i], " \t\r\n")) }

// scanString is the offset after the string at i.
func scanString(doc []byte, i int) int {
	quote := doc[i]
	triple := bytes.Repeat([]byte{quote}, 3)
	if bytes.HasPrefix(doc[i:], triple) {
		for i += 3; i < len(doc); i++ {
			switch {
			case doc[i] == '\\' && quote == '"':
				i++
			case bytes.HasPrefix(doc[i:], triple):
				i += 3
				// Up to two quotes may stand before the closing three.
				for n := 0; n < 2 && i < len(doc) && doc[i] == quote; n++ {
					i++
				}
				return i
			}
		}
		return len(doc)
	}
	for i++; i < len(doc); i++ {
		switch {
		case doc[i] == '\\' && quote == '"':
			i++
		case doc[i] == quote:
			return i + 1
		case doc[i] == '\n':
			return i
		}
	}
	return len(doc)
}
