package desktop

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
)

var (
	// ErrTaken reports a name that another entry has.
	ErrTaken = errors.New("the name is taken")
	// ErrNoServer reports that there is no entry of that name.
	ErrNoServer = errors.New("no such server")
)

// Servers returns the document's entries, by name. A nil document is a file that
// is not there.
func (c Config) Servers(doc []byte) ([]Server, error) {
	_, doc = cutBOM(doc)
	root, err := parse(c.Client.syntax, doc)
	if err != nil {
		return nil, c.parsing(err)
	}
	servers, err := c.servers(root)
	if err != nil {
		return nil, err
	}
	var list []Server
	for _, s := range servers {
		list = append(list, readServer(s.name, s.entry))
	}
	return sortServers(list), nil
}

// Add returns the document with an entry for s: unchanged if it is there
// already, an error that is [ErrTaken] if another one has its name, unless
// replace. A nil document is a file that is not there.
func (c Config) Add(doc []byte, s Server, replace bool) ([]byte, error) {
	servers, err := c.Servers(doc)
	if err != nil {
		return nil, err
	}
	mark, text := cutBOM(doc)
	e := c.edit(s.Name)
	e.entry = c.Client.entry(s)
	at := slices.IndexFunc(servers, func(other Server) bool { return other.Name == s.Name })
	var results [][]byte
	switch {
	case at >= 0 && servers[at].equal(s):
		return doc, nil
	case at >= 0 && !replace:
		return nil, ErrTaken
	case at >= 0:
		var result []byte
		result, err = c.Client.syntax.replace(text, e)
		results = [][]byte{result}
	default:
		results, err = c.Client.syntax.insert(text, e)
	}
	if err == nil {
		var result []byte
		if result, err = c.prove(text, results, e); err == nil {
			return append(append([]byte{}, mark...), result...), nil
		}
	}
	return nil, fmt.Errorf("%s %w. Add this to it by hand:\n%s", c.Path, err, c.Client.syntax.render(e))
}

// Remove returns the document without the entry of that name. Of the earlier
// versions of the document, the last first, it takes what was there before the
// entry was added; nil among them is a file that was not there. A nil result is
// a file to remove.
func (c Config) Remove(doc []byte, name string, earlier ...[]byte) ([]byte, error) {
	servers, err := c.Servers(doc)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(servers, func(s Server) bool { return s.Name == name })
	if at < 0 {
		return nil, ErrNoServer
	}
	versions := c.versions(earlier)
	whole, known := false, false
	for _, v := range versions {
		if v.has(name) {
			continue
		}
		if result, ok := c.undo(doc, servers, v, name, versions); ok {
			return result, nil
		}
		if !known {
			known, whole = true, !c.hasPlace(v.doc)
		}
	}
	mark, text := cutBOM(doc)
	e := c.edit(name)
	result, err := c.Client.syntax.remove(text, e, whole)
	if err == nil {
		result, err = c.prove(text, [][]byte{result}, e)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %w. Remove the entry %q by hand", c.Path, err, name)
	}
	return append(append([]byte{}, mark...), result...), nil // never nil: there is a file
}

// A version is an earlier content of a document that could be read.
type version struct {
	doc     []byte
	servers []Server
}

func (v version) has(name string) bool {
	return slices.ContainsFunc(v.servers, func(s Server) bool { return s.Name == name })
}

func (c Config) versions(docs [][]byte) (list []version) {
	for _, doc := range docs {
		if servers, err := c.Servers(doc); err == nil {
			list = append(list, version{doc, servers})
		}
	}
	return list
}

// undo removes an entry from a document that came from the version before by
// adding servers alone: it adds the others to that version.
func (c Config) undo(doc []byte, servers []Server, before version, name string, versions []version) (result []byte, ok bool) {
	added := slices.DeleteFunc(slices.Clone(servers), func(s Server) bool {
		return slices.ContainsFunc(before.servers, s.equal)
	})
	age := func(s Server) (n int) { // in how many versions it is
		for _, v := range versions {
			if v.has(s.Name) {
				n++
			}
		}
		return n
	}
	slices.SortStableFunc(added, func(a, b Server) int { return age(b) - age(a) })
	with, without := before.doc, before.doc
	for _, s := range added {
		var err error
		if with, err = c.Add(with, s, false); err != nil {
			return nil, false
		}
		if s.Name == name {
			continue
		}
		if without, err = c.Add(without, s, false); err != nil {
			return nil, false
		}
	}
	return without, bytes.Equal(with, doc)
}

// Snippet is the entry of s as the client's documentation shows it.
func (c Config) Snippet(s Server) string {
	e := c.edit(s.Name)
	e.entry = c.Client.entry(s)
	return c.Client.syntax.render(e)
}

func (c Config) edit(name string) edit {
	return edit{place: c.Client.place, list: c.Client.list, name: name, fresh: c.Client.fresh}
}

// parsing says which file it is that can't be parsed, and that it stays as it is.
func (c Config) parsing(err error) error {
	var at *SyntaxError
	if errors.As(err, &at) {
		return fmt.Errorf("%s can't be parsed, and was left as it is: %w", c.Path, err)
	}
	return fmt.Errorf("%s %w", c.Path, err)
}

// prove returns the first of the results that holds what the document holds,
// with e's entry, or without one of its name if it has none.
func (c Config) prove(doc []byte, results [][]byte, e edit) ([]byte, error) {
	before, err := parse(c.Client.syntax, doc)
	if err != nil {
		return nil, err
	}
	want := wanted(before, e)
	for _, result := range results {
		after, err := parse(c.Client.syntax, result)
		if err == nil && same(want, normal(after, e)) {
			return result, nil
		}
	}
	return nil, errShape
}

// wanted is the value of the document after the edit.
func wanted(before any, e edit) any {
	root, _ := before.(map[string]any)
	if before == nil {
		root = e.fresh.value()
	}
	root = maps.Clone(root)
	in := root
	for _, key := range e.place[:len(e.place)-1] {
		inner, _ := in[key].(map[string]any)
		if inner = maps.Clone(inner); inner == nil {
			inner = map[string]any{}
		}
		in[key] = inner
		in = inner
	}
	last := e.place[len(e.place)-1]
	if !e.list {
		entries, _ := in[last].(map[string]any)
		if entries = maps.Clone(entries); entries == nil {
			entries = map[string]any{}
		}
		delete(entries, e.name)
		if e.entry != nil {
			entries[e.name] = e.entry.value()
		}
		in[last] = entries
		return normal(root, e)
	}
	items, _ := in[last].([]any)
	items = slices.Clone(items)
	at := slices.IndexFunc(items, func(item any) bool { return nameOf(item) == e.name })
	switch {
	case at < 0:
		items = append(items, e.entry.value())
	case e.entry == nil:
		items = slices.Delete(items, at, at+1)
	default:
		items[at] = e.entry.value()
	}
	in[last] = items
	return normal(root, e)
}

// normal is the document's value without places that hold no entry, and with
// the entry at the end of its list: where it stands makes no difference.
func normal(root any, e edit) any {
	root = prune(root, e.place)
	m, _ := root.(map[string]any)
	items, ok := m[e.place[0]].([]any)
	if !ok || !e.list {
		return root
	}
	at := slices.IndexFunc(items, func(item any) bool { return nameOf(item) == e.name })
	if at >= 0 {
		m = maps.Clone(m)
		m[e.place[0]] = append(slices.Delete(slices.Clone(items), at, at+1), items[at])
		return m
	}
	return root
}

// prune drops what holds no entry along the place.
func prune(root any, place []string) any {
	m, ok := root.(map[string]any)
	if !ok || len(place) == 0 {
		return root
	}
	inner, ok := m[place[0]]
	if !ok {
		return root
	}
	m = maps.Clone(m)
	switch v := prune(inner, place[1:]).(type) {
	case nil:
		delete(m, place[0])
	case map[string]any:
		if m[place[0]] = v; len(v) == 0 {
			delete(m, place[0])
		}
	case []any:
		if m[place[0]] = v; len(v) == 0 {
			delete(m, place[0])
		}
	}
	return m
}

// A named entry is an entry as the document has it.
type named struct {
	name  string
	entry any
}

// servers finds the entries in the document's value.
func (c Config) servers(root any) ([]named, error) {
	wrong := func(what, want string, v any) error {
		return fmt.Errorf("%s was left as it is: %s should be %s, and is %s", c.Path, what, want, kindOf(v))
	}
	in, what := root, "it"
	for _, key := range c.Client.place {
		m, ok := in.(map[string]any)
		if in != nil && !ok {
			return nil, wrong(what, tableKind, in)
		}
		in, what = m[key], key
	}
	var list []named
	switch v := in.(type) {
	case nil:
	case map[string]any:
		if c.Client.list {
			return nil, wrong(what, listKind, in)
		}
		for name, entry := range v {
			list = append(list, named{name, entry})
		}
	case []any:
		if !c.Client.list {
			return nil, wrong(what, tableKind, in)
		}
		for _, item := range v {
			list = append(list, named{nameOf(item), item})
		}
	default:
		if c.Client.list {
			return nil, wrong(what, listKind, in)
		}
		return nil, wrong(what, tableKind, in)
	}
	return list, nil
}

// hasPlace tells whether a document has a place for servers already.
func (c Config) hasPlace(doc []byte) bool {
	_, doc = cutBOM(doc)
	in, err := parse(c.Client.syntax, doc)
	for _, key := range c.Client.place {
		m, _ := in.(map[string]any)
		var ok bool
		if in, ok = m[key]; !ok {
			return false
		}
	}
	return err == nil
}

func nameOf(item any) string {
	m, _ := item.(map[string]any)
	name, _ := m["name"].(string)
	return name
}

// What people call the kinds of values.
const (
	tableKind = "a table of names and values"
	listKind  = "a list"
)

func kindOf(v any) string {
	switch v.(type) {
	case map[string]any:
		return tableKind
	case []any:
		return listKind
	case string:
		return "a text"
	}
	return "a single value"
}
