package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// maxDepth bounds nesting, as encoding/json does: deeper input is an attack on
// the stack of whoever decodes it next.
const maxDepth = 10000

var errSyntax = errors.New("invalid JSON")

// syntaxError says where the text stops being JSON (RFC 8259).
type syntaxError struct {
	what string
	at   int
}

func (e *syntaxError) Error() string { return fmt.Sprintf("invalid JSON at byte %d: %s", e.at, e.what) }
func (e *syntaxError) Unwrap() error { return errSyntax }

func skipSpace(b []byte, i int) int {
	for i < len(b) {
		switch b[i] {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// skipString returns the index after the string that starts at b[i] == '"'.
// It looks at eight bytes at a time: strings are the bulk of large messages.
func skipString(b []byte, i int) (int, error) {
	start := i
	i++
	for {
		for i+8 <= len(b) {
			w := binary.LittleEndian.Uint64(b[i:])
			quote := w ^ (lowBits * '"')
			slash := w ^ (lowBits * '\\')
			special := (w - lowBits*0x20) & ^w // below 0x20
			special |= (quote - lowBits) & ^quote
			special |= (slash - lowBits) & ^slash
			if special&highBits != 0 {
				break
			}
			i += 8
		}
		for n := 0; ; n++ {
			if i >= len(b) {
				return 0, &syntaxError{"string without an end", start}
			}
			c := b[i]
			if c == '"' {
				return i + 1, nil
			}
			if c < 0x20 {
				return 0, &syntaxError{"control character in a string", i}
			}
			if c == '\\' {
				next, err := skipEscape(b, i)
				if err != nil {
					return 0, err
				}
				i = next
				break
			}
			i++
			if n == 8 {
				break
			}
		}
	}
}

func skipEscape(b []byte, i int) (int, error) {
	if i+1 >= len(b) {
		return 0, &syntaxError{"escape without an end", i}
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2, nil
	case 'u':
		if i+6 > len(b) {
			return 0, &syntaxError{"escape without an end", i}
		}
		for _, c := range b[i+2 : i+6] {
			if !isHex(c) {
				return 0, &syntaxError{`\u wants four hex digits`, i}
			}
		}
		return i + 6, nil
	}
	return 0, &syntaxError{"unknown escape", i}
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func skipDigits(b []byte, i int) int {
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	return i
}

func skipNumber(b []byte, i int) (int, error) {
	start := i
	if i < len(b) && b[i] == '-' {
		i++
	}
	switch {
	case i < len(b) && b[i] == '0':
		i++
	case i < len(b) && isDigit(b[i]):
		i = skipDigits(b, i)
	default:
		return 0, &syntaxError{"not a JSON value", start}
	}
	if i < len(b) && b[i] == '.' {
		next := skipDigits(b, i+1)
		if next == i+1 {
			return 0, &syntaxError{"number without digits after its point", start}
		}
		i = next
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		next := skipDigits(b, i)
		if next == i {
			return 0, &syntaxError{"number without an exponent", start}
		}
		i = next
	}
	return i, nil
}

func skipLiteral(b []byte, i int, word string) (int, error) {
	if len(b)-i >= len(word) && string(b[i:i+len(word)]) == word {
		return i + len(word), nil
	}
	return 0, &syntaxError{"not a JSON value", i}
}

func skipScalar(b []byte, i int) (int, error) {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case 't':
		return skipLiteral(b, i, "true")
	case 'f':
		return skipLiteral(b, i, "false")
	case 'n':
		return skipLiteral(b, i, "null")
	default:
		return skipNumber(b, i)
	}
}

// nesting remembers for each open bracket whether it is an object: one bit each.
type nesting struct {
	bits  [maxDepth/64 + 1]uint64
	depth int
}

// skipValue returns the index after the JSON value that starts at b[i], having
// checked that it is one. It does not recurse: depth costs a bit, not a stack.
func skipValue(b []byte, i int) (int, error) { return skipInside(b, i, 0) }

// skipInside is skipValue for a value that stands inside so many brackets.
func skipInside(b []byte, i, outer int) (int, error) {
	if i >= len(b) {
		return 0, &syntaxError{"text ends where a value should stand", i}
	}
	if b[i] != '{' && b[i] != '[' {
		return skipScalar(b, i)
	}
	var open nesting
	for {
		// Here b[i] starts a value.
		var err error
		switch b[i] {
		case '{', '[':
			object := b[i] == '{'
			if outer+open.depth == maxDepth {
				return 0, &syntaxError{"nested too deeply", i}
			}
			if object {
				open.bits[open.depth/64] |= 1 << (open.depth % 64)
			} else {
				open.bits[open.depth/64] &^= 1 << (open.depth % 64)
			}
			open.depth++
			i = skipSpace(b, i+1)
			if i < len(b) && b[i] == closer(object) {
				i++
				open.depth--
				break
			}
			if object {
				if i, err = skipKey(b, i); err != nil {
					return 0, err
				}
			}
			if i >= len(b) {
				return 0, &syntaxError{"text ends where a value should stand", i}
			}
			continue
		default:
			if i, err = skipScalar(b, i); err != nil {
				return 0, err
			}
		}
		// Here a value has ended: close brackets or go on to the next member.
		for {
			if open.depth == 0 {
				return i, nil
			}
			object := open.bits[(open.depth-1)/64]>>((open.depth-1)%64)&1 == 1
			i = skipSpace(b, i)
			if i >= len(b) {
				return 0, &syntaxError{"bracket without an end", i}
			}
			if b[i] == closer(object) {
				i++
				open.depth--
				continue
			}
			if b[i] != ',' {
				return 0, &syntaxError{"expected a comma or a closing bracket", i}
			}
			i = skipSpace(b, i+1)
			if object {
				if i, err = skipKey(b, i); err != nil {
					return 0, err
				}
			}
			if i >= len(b) {
				return 0, &syntaxError{"text ends where a value should stand", i}
			}
			break
		}
	}
}

func closer(object bool) byte {
	if object {
		return '}'
	}
	return ']'
}

// skipKey passes over `"name" :` and the space after it.
func skipKey(b []byte, i int) (int, error) {
	if i >= len(b) || b[i] != '"' {
		return 0, &syntaxError{"expected a member name", i}
	}
	i, err := skipString(b, i)
	if err != nil {
		return 0, err
	}
	i = skipSpace(b, i)
	if i >= len(b) || b[i] != ':' {
		return 0, &syntaxError{"expected a colon", i}
	}
	return skipSpace(b, i+1), nil
}
