package era

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
)

func TestSplice(t *testing.T) {
	drop := func(names ...string) func(*splice) {
		return func(s *splice) {
			for _, n := range names {
				s.drop(n)
			}
		}
	}
	set := func(name, value string) func(*splice) { return func(s *splice) { s.set(name, []byte(value)) } }
	for name, test := range map[string]struct {
		in     string
		change func(*splice)
		out    string
	}{
		"nothing":          {` { "a" : 1 , "b":2 } `, func(*splice) {}, ` { "a" : 1 , "b":2 } `},
		"replace":          {`{"a": 1 ,"b":2}`, set("a", "3"), `{"a": 3 ,"b":2}`},
		"add":              {`{ "a":1 }`, set("b", "2"), `{"b":2, "a":1 }`},
		"add to nothing":   {`{ }`, set("b", "2"), `{"b":2 }`},
		"drop the first":   {`{"a":1, "b":2, "c":3}`, drop("a"), `{ "b":2, "c":3}`},
		"drop the middle":  {`{"a":1, "b":2, "c":3}`, drop("b"), `{"a":1, "c":3}`},
		"drop the last":    {`{"a":1, "b":2, "c":3 }`, drop("c"), `{"a":1, "b":2 }`},
		"drop all":         {`{"a":1, "b":2}`, drop("a", "b"), `{}`},
		"drop all and add": {`{"a":1,"b":2}`, func(s *splice) { s.drop("a"); s.drop("b"); s.set("c", []byte("3")) }, `{"c":3}`},
		"repeated":         {`{"a":1,"a":2,"b":3}`, set("a", "4"), `{"a":4,"b":3}`},
		"repeated dropped": {`{"a":1,"b":3,"a":2}`, drop("a"), `{"b":3}`},
		"escaped name":     {`{"\u0061":1,"b":"}\"{"}`, drop("a"), `{"b":"}\"{"}`},
		"inside":           {`{"x": {"a":1, "b":2} ,"y":[{"a":1}]}`, func(s *splice) { s.in("x").drop("b") }, `{"x": {"a":1} ,"y":[{"a":1}]}`},
		"not an object":    {`[1]`, set("a", "1"), `{"a":1}`},
		"absent":           {``, set("a", "1"), `{"a":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSplice([]byte(test.in))
			test.change(s)
			if got := string(s.bytes()); got != test.out {
				t.Errorf("got %s, want %s", got, test.out)
			}
		})
	}
}

// Whatever valid object is changed stays valid, and what was not changed keeps
// its bytes.
func FuzzSplice(f *testing.F) {
	for _, seed := range []string{`{}`, `{ "a" : [1,{"b":"\""}] , "c":-1e9 }`, `{"a":{"b":{}},"a":null}`, `{"\u0061":true,"":[]}`, `{"a":"\\","b":"]"}`} {
		f.Add([]byte(seed), "a", "b")
	}
	f.Fuzz(func(t *testing.T, raw []byte, gone, added string) {
		if !json.Valid(raw) || !isObject(bytes.TrimLeft(raw, " \t\r\n")) {
			return
		}
		s := newSplice(raw)
		if got := s.bytes(); !bytes.Equal(got, raw) {
			t.Fatalf("untouched %q became %q", raw, got)
		}
		s.drop(gone)
		s.set(added, []byte(`[7]`))
		out := s.bytes()
		if !json.Valid(out) {
			t.Fatalf("%q without %q and with %q became %q", raw, gone, added, out)
		}
		if gone != added && has(out, gone) {
			t.Fatalf("%q is still in %q", gone, out)
		}
		var after map[string]json.RawMessage
		if err := json.Unmarshal(out, &after); err != nil {
			t.Fatal(err)
		}
		for key, value := range fields(raw) {
			if key == gone || key == added || has(raw[:0], key) {
				continue
			}
			if !bytes.Contains(out, value) {
				t.Fatalf("the value %q of %q is not in %q", value, key, out)
			}
		}
	})
}

func has(raw []byte, name string) bool {
	for key := range fields(raw) {
		if key == name {
			return true
		}
	}
	return false
}

// FuzzTranslate: no message of a peer makes the translations panic or produce
// what is no message.
func FuzzTranslate(f *testing.F) {
	for _, seed := range []string{
		hello, `{"jsonrpc":"2.0","id":1,"result":` + discovered + `}`, `{"jsonrpc":"2.0","id":1,"result":` + initialized + `}`,
		`{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","inputSchema":{"properties":{"p":{"type":"string","x-mcp-header":"P"}}},"outputSchema":[]},1]}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"1"}],"structuredContent":1}}`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"m","data":[]}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":1},"requestState":1,"inputResponses":[]}}`,
	} {
		f.Add([]byte(seed))
	}
	tr, err := New(Options{Deliver: func(context.Context, wire.Frame) error { return nil }}, func(wire.Deliver) (wire.Remote, error) { return &fakeRemote{}, nil })
	if err != nil {
		f.Fatal(err)
	}
	whole := func(t *testing.T, f wire.Frame) {
		t.Helper()
		got, err := wire.Parse(f.Raw)
		if err != nil || got.Kind != f.Kind || got.ID.Key() != f.ID.Key() || got.Method != f.Method {
			t.Fatalf("%s is no message: %v", f.Raw, err)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		frame, err := wire.Parse(raw)
		if err != nil || frame.Kind == wire.Batch {
			return
		}
		l := newLegacyClient(tr, frame, frame)
		if frame.Kind != wire.Response {
			whole(t, l.modernise(frame))
			if frame.Kind == wire.Request {
				whole(t, legacyRequest(frame, tr.newID()))
				whole(t, l.initializeResult(frame, frame))
				targetOf(frame)
			}
			return
		}
		for _, method := range []string{"tools/list", "tools/call", "resources/read", "x"} {
			request := wire.Frame{ID: wire.ID(`"r"`), Method: method, Kind: wire.Request}
			whole(t, l.legacyAnswer(request, frame))
			whole(t, modernAnswer(request, frame))
			read(method, frame, nil)
		}
		if out := discoverResult(wire.Lookup(raw, "result")); !json.Valid(out) {
			t.Fatalf("%s", out)
		}
	})
}
