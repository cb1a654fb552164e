package era

import (
	"bytes"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// splice collects changes to one JSON object and writes it anew with them. What
// is not changed keeps its bytes, white space included. Where a member is
// repeated, the last one counts, as in wire.Find.
type splice struct {
	raw     []byte
	members []member
	changes []change // as many as members
	added   []addition
}

type change struct {
	drop  bool
	value []byte
	child *splice
}

type addition struct {
	key   string
	value []byte
}

// newSplice begins changing the object raw. Another value counts as an empty
// object.
func newSplice(raw []byte) *splice {
	s := &splice{raw: raw}
	for m := range members(raw) {
		s.members = append(s.members, m)
	}
	if len(s.members) == 0 && !isObject(bytes.TrimLeft(raw, " \t\r\n")) {
		s.raw = []byte("{}")
	}
	s.changes = make([]change, len(s.members))
	return s
}

// index returns the member that counts, -1 where there is none.
func (s *splice) index(key string) int {
	for i := len(s.members) - 1; i >= 0; i-- {
		if s.members[i].key == key && !s.changes[i].drop {
			return i
		}
	}
	return -1
}

// get returns the original value of a member, nil where there is none.
func (s *splice) get(key string) []byte {
	i := s.index(key)
	if i < 0 {
		return nil
	}
	return s.raw[s.members[i].valueStart:s.members[i].after]
}

// set gives a member a new value, or adds it in front of the others.
func (s *splice) set(key string, value []byte) {
	if i := s.only(key); i >= 0 {
		s.changes[i] = change{value: value}
		return
	}
	for i := range s.added {
		if s.added[i].key == key {
			s.added[i].value = value
			return
		}
	}
	s.added = append(s.added, addition{key, value})
}

// only drops all members of the name but the one that counts.
func (s *splice) only(key string) int {
	last := s.index(key)
	for i := range last {
		if s.members[i].key == key {
			s.changes[i] = change{drop: true}
		}
	}
	return last
}

// drop removes a member.
func (s *splice) drop(key string) {
	for i := range s.members {
		if s.members[i].key == key {
			s.changes[i] = change{drop: true}
		}
	}
}

// in begins changing the object that a member holds, nil where it holds none.
func (s *splice) in(key string) *splice {
	i := s.index(key)
	if i < 0 || !isObject(s.raw[s.members[i].valueStart:s.members[i].after]) {
		return nil
	}
	if s.changes[i].child == nil {
		s.only(key)
		s.changes[i] = change{child: newSplice(s.raw[s.members[i].valueStart:s.members[i].after])}
	}
	return s.changes[i].child
}

// changed reports whether anything would differ.
func (s *splice) changed() bool {
	if len(s.added) > 0 {
		return true
	}
	for _, c := range s.changes {
		if c.drop || c.value != nil || c.child != nil && c.child.changed() {
			return true
		}
	}
	return false
}

// bytes writes the object with its changes.
func (s *splice) bytes() []byte {
	size := len(s.raw)
	for _, a := range s.added {
		size += len(a.key) + len(a.value) + 4
	}
	return s.append(make([]byte, 0, size+64))
}

func (s *splice) append(out []byte) []byte {
	open := skipSpace(s.raw, 0)
	out = append(out, s.raw[:open+1]...)
	for i, a := range s.added {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, quote(a.key)...)
		out = append(out, ':')
		out = append(out, a.value...)
	}
	written := len(s.added) > 0
	for i, m := range s.members {
		c := s.changes[i]
		if c.drop {
			continue
		}
		before := open + 1
		if i > 0 {
			before = s.members[i-1].after
		}
		gap := s.raw[before:m.start]
		switch comma := bytes.IndexByte(gap, ','); {
		case written && comma < 0:
			out = append(out, ',')
		case !written && comma >= 0:
			gap = gap[comma+1:]
		}
		written = true
		out = append(out, gap...)
		out = append(out, s.raw[m.start:m.valueStart]...)
		switch {
		case c.child != nil:
			out = c.child.append(out)
		case c.value != nil:
			out = append(out, c.value...)
		default:
			out = append(out, s.raw[m.valueStart:m.after]...)
		}
	}
	tail := open + 1
	if n := len(s.members); n > 0 {
		tail = s.members[n-1].after
	}
	return append(out, s.raw[tail:]...)
}

// frame returns f with the bytes of the splice, which was made of f.Raw and
// must not have touched the method. It owns its bytes.
func (s *splice) frame(f wire.Frame) wire.Frame {
	id := f.ID
	if i := s.index("id"); i >= 0 && s.changes[i].value != nil {
		id = s.changes[i].value
	}
	for _, a := range s.added {
		if a.key == "id" { // a response to a request that its sender could not read
			id = a.value
		}
	}
	return wire.Frame{Raw: s.bytes(), Kind: f.Kind, ID: bytes.Clone(id), Method: f.Method, Failed: f.Failed}
}

// empty reports that the object has no member any more.
func (s *splice) empty() bool {
	for _, c := range s.changes {
		if !c.drop {
			return false
		}
	}
	return len(s.added) == 0
}
