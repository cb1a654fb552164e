package wire

import (
	"strings"
	"testing"
)

func TestIDKey(t *testing.T) {
	same := [][2]string{
		{`1`, `1`},
		{`"a/b"`, `"a\/b"`},
		{`"é"`, `"\u00e9"`},
		{`"\u200b"`, "\"\u200b\""},
		{`"a\"b"`, `"a\u0022b"`},
		{`"\\"`, `"\u005c"`},
	}
	for _, p := range same {
		if ID(p[0]).Key() != ID(p[1]).Key() {
			t.Errorf("%s and %s are the same id", p[0], p[1])
		}
	}
	differ := [][2]string{
		{`1`, `"1"`},
		{`1`, `1.0`},
		{`9007199254740993`, `9007199254740992`},
		{`"null"`, `null`},
		{`"a"`, `"A"`},
		{`"\ud800"`, `"\ud801"`},
	}
	for _, p := range differ {
		if ID(p[0]).Key() == ID(p[1]).Key() {
			t.Errorf("%s and %s are different ids", p[0], p[1])
		}
	}
}

func TestWithID(t *testing.T) {
	tests := []struct{ name, raw, id, want string }{
		{"request", `{"jsonrpc":"2.0","id" : 1 ,"method":"x","params":{"id":1}}`, `"new"`, `{"jsonrpc":"2.0","id" : "new" ,"method":"x","params":{"id":1}}`},
		{"response, id last", `{"result":9007199254740993,"jsonrpc":"2.0","id":"a\"b"}`, `7`, `{"result":9007199254740993,"jsonrpc":"2.0","id":7}`},
		{"escaped name", `{"jsonrpc":"2.0","\u0069d":1,"result":1}`, `2`, `{"jsonrpc":"2.0","\u0069d":2,"result":1}`},
		{"null", `{"jsonrpc":"2.0","id":null,"error":{}}`, `3`, `{"jsonrpc":"2.0","id":3,"error":{}}`},
		{"none", `{ "jsonrpc":"2.0","error":{}}`, `3`, `{"id":3, "jsonrpc":"2.0","error":{}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := MustParse(tt.raw)
			got := f.WithID(ID(tt.id))
			if string(got.Raw) != tt.want || string(got.ID) != tt.id || got.Kind != f.Kind || got.Method != f.Method {
				t.Errorf("got  %s id=%s\nwant %s", got.Raw, got.ID, tt.want)
			}
			if string(f.Raw) != tt.raw {
				t.Errorf("the original became %s", f.Raw)
			}
		})
	}
}

func TestFrameOwners(t *testing.T) {
	const raw = `{"jsonrpc":"2.0","id":1,"method":"x"}`
	f, err := parseBuffer(newBuffer(0).appendBytes([]byte(raw)))
	if err != nil {
		t.Fatal(err)
	}
	clone := f.Clone()
	f.Retain()
	f.Release()
	if string(f.Raw) != raw {
		t.Error("the bytes went although one owner is left")
	}
	f.Release()
	if string(f.Raw) == raw {
		t.Error("the last release was not noticed")
	}
	if string(clone.Raw) != raw || string(clone.ID) != "1" {
		t.Errorf("the clone shared bytes: %q id=%q", clone.Raw, clone.ID)
	}
	clone.Release() // owned by the collector: nothing happens
	clone.Retain().Release()
}

func TestFrameMisuseIsNoticed(t *testing.T) {
	panics := func(do func()) (v any) {
		defer func() { v = recover() }()
		do()
		return nil
	}
	b := &buffer{}
	b.refs.Store(1)
	b.release()
	if panics(b.release) == nil {
		t.Error("a second release went through")
	}
	b.refs.Store(0)
	if panics(b.retain) == nil {
		t.Error("a released frame was retained")
	}
}

func TestCompact(t *testing.T) {
	tests := []struct{ name, raw, want string }{
		{"one line stays as it is", `{ "a" : 1 }`, `{ "a" : 1 }`},
		{"line feeds", "{\n  \"a\": [1,\n 2]\n}", `{"a":[1,2]}`},
		{"carriage returns alone", "{\r\"a\":1}", `{"a":1}`},
		{"strings keep their spaces", "[\n\" a  b\\n\\\" \", \"\\\\\" , \" \"\n]", `[" a  b\n\" ","\\"," "]`},
		{"literals", "[true,\nfalse , null]", `[true,false,null]`},
	}
	for _, tt := range tests {
		if got := string(compact([]byte(tt.raw))); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	raw := []byte(`{"a": 1}`)
	if &compact(raw)[0] != &raw[0] {
		t.Error("a message in one line was copied")
	}
}

func TestKindString(t *testing.T) {
	var names []string
	for k := Invalid; k <= Batch; k++ {
		names = append(names, k.String())
	}
	if got := strings.Join(names, " "); got != "invalid request notification response batch" {
		t.Error(got)
	}
}
