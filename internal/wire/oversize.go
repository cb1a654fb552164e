package wire

import (
	"bytes"
	"encoding/json"
)

// maxToken bounds the names and ids that are kept while a message is skimmed.
const maxToken = 1 << 10

// skim reads the envelope of a message that can't be parsed, because it is too
// large to keep or not quite JSON. It takes the message in pieces, keeps none
// of them, and finds the id wherever it stands: some senders write it last.
//
// It follows strings and brackets only. Whether the rest is JSON is not its
// question, so it also finds the id of a message that says NaN somewhere.
type skim struct {
	env   envelope
	size  int // bytes seen
	depth int
	batch bool
	ended bool // the outermost bracket was closed, or there never was one

	inString, escaped bool

	// What stands between two separators at depth 1: a name or a value. Of
	// arrays and objects only the brackets are kept.
	key     string
	inValue bool
	token   []byte
	gap     bool // white space came after token's last byte
	spoiled bool // token is not all that stood there
}

func (s *skim) feed(chunk []byte) {
	s.size += len(chunk)
	for i := 0; i < len(chunk) && !s.ended; i++ {
		if s.inString {
			if s.depth > 1 || s.spoiled {
				i += plainLen(chunk[i:]) // nothing of it will be kept
				if i == len(chunk) {
					return
				}
			}
			s.string(chunk[i])
			continue
		}
		s.structure(chunk[i])
	}
}

// plainLen returns how many bytes at the start of b neither end a string nor
// escape something in it.
func plainLen(b []byte) int {
	for i, c := range b {
		if c == '"' || c == '\\' {
			return i
		}
	}
	return len(b)
}

func (s *skim) string(c byte) {
	s.keep(c)
	switch {
	case s.escaped:
		s.escaped = false
	case c == '\\':
		s.escaped = true
	case c == '"':
		s.inString = false
	}
}

func (s *skim) structure(c byte) {
	switch c {
	case ' ', '\t', '\r', '\n':
		s.gap = len(s.token) > 0
		return
	case '{', '[':
		s.keep(c)
		if s.depth == 0 {
			s.token, s.batch = s.token[:0], c == '['
		}
		s.depth++
		return
	case '}', ']':
		if s.depth == 1 {
			s.member()
			s.ended = true
		}
		s.depth--
	case ',':
		if s.depth == 1 {
			s.member()
			return
		}
	case ':':
		if s.depth == 1 && !s.inValue {
			s.name()
			return
		}
	case '"':
		s.inString = true
	}
	if s.depth <= 0 {
		s.ended = true // no message at all
		return
	}
	s.keep(c)
}

func (s *skim) keep(c byte) {
	if s.depth > 1 {
		return
	}
	if s.gap || len(s.token) == maxToken {
		s.spoiled = true
		return
	}
	s.token = append(s.token, c)
}

// name takes the token before a colon as a member name.
func (s *skim) name() {
	var key string
	if s.spoiled || json.Unmarshal(s.token, &key) != nil {
		key = ""
	}
	s.next(key, true)
}

// member takes the token before a comma or the last bracket as a value.
func (s *skim) member() {
	if s.inValue && len(s.token) > 0 {
		if s.key == "id" && s.spoiled {
			s.token = append(s.token[:0], "[]"...) // an id nobody can have
		}
		s.env.member([]byte(s.key), bytes.Clone(s.token))
	}
	s.next("", false)
}

func (s *skim) next(key string, inValue bool) {
	s.key, s.inValue = key, inValue
	s.token, s.gap, s.spoiled = s.token[:0], false, false
}

// envelope returns the id and whether the sender waits for an answer, as far as
// either could be read.
func (s *skim) envelope() (ID, bool) {
	if s.batch {
		return nil, true
	}
	if !s.ended && s.key != "id" {
		s.member() // where the message was cut off
	}
	cut := !s.ended && s.env.result == nil && s.env.failure == nil
	return s.env.readableID(), cut || s.env.asks()
}

// tooLarge is the error for a message above the limit of max bytes.
func (s *skim) tooLarge(max int) *FrameError {
	id, asks := s.envelope()
	bad := invalid(id, "the message has %d bytes, more than the limit of %d bytes; the limit can be raised by configuration", s.size, max)
	bad.Request, bad.Limit = asks, max
	return bad
}
