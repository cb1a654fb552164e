package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, raw string
		kind      Kind
		id        string
		method    string
		failed    bool
	}{
		{"request", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"x":1}}`, Request, `1`, "tools/call", false},
		{"id last", `{"method":"ping","params":{"id":3},"jsonrpc":"2.0","id":"a"}`, Request, `"a"`, "ping", false},
		{"big id", `{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"x"}`, Request, `123456789012345678901234567890`, "x", false},
		{"above 2^53", `{"jsonrpc":"2.0","id":9007199254740993,"method":"x"}`, Request, `9007199254740993`, "x", false},
		{"negative id", `{"jsonrpc":"2.0","id":-7,"method":"x"}`, Request, `-7`, "x", false},
		{"fraction", `{"jsonrpc":"2.0","id":1.50,"method":"x"}`, Request, `1.50`, "x", false},
		{"exponent", `{"jsonrpc":"2.0","id":1E+2,"method":"x"}`, Request, `1E+2`, "x", false},
		{"empty string id", `{"jsonrpc":"2.0","id":"","method":"x"}`, Request, `""`, "x", false},
		{"escapes in id", `{"jsonrpc":"2.0","id":"a\/\"\u0041","method":"x"}`, Request, `"a\/\"\u0041"`, "x", false},
		{"escapes in method", `{"jsonrpc":"2.0","id":1,"method":"tools\/\u0063all"}`, Request, `1`, "tools/call", false},
		{"escaped member names", `{"jsonr\u0070c":"2.0","\u0069d":1,"meth\u006fd":"x"}`, Request, `1`, "x", false},
		{"empty method", `{"jsonrpc":"2.0","id":1,"method":""}`, Request, `1`, "", false},
		{"notification", `{"jsonrpc":"2.0","method":"notifications/progress"}`, Notification, ``, "notifications/progress", false},
		{"result", `{"jsonrpc":"2.0","id":1,"result":null}`, Response, `1`, "", false},
		{"error", `{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":""}}`, Response, `1`, "", true},
		{"error with id null", `{"jsonrpc":"2.0","id":null,"error":{}}`, Response, `null`, "", true},
		{"error without id", `{"jsonrpc":"2.0","error":{}}`, Response, `null`, "", true},
		{"batch", ` [{"jsonrpc":"2.0","method":"x"}] `, Batch, ``, "", false},
		{"empty batch", `[]`, Batch, ``, "", false},
		{"members of somebody's own", `{"jsonrpc":"2.0","method":"x","meta":1,"Meta":2,"ids":3}`, Notification, ``, "x", false},
		{"unknown members twice", `{"jsonrpc":"2.0","method":"x","meta":1,"meta":2}`, Notification, ``, "x", false},
		{"spaces everywhere", " \t\r\n{ \"jsonrpc\" : \"2.0\" ,\n\"id\" : 1 , \"method\" : \"x\" }\n", Request, `1`, "x", false},
		{"members inside params don't count", `{"jsonrpc":"2.0","method":"x","params":{"id":1,"result":2,"method":"y"}}`, Notification, ``, "x", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Parse([]byte(tt.raw))
			if err != nil {
				t.Fatal(err)
			}
			if f.Kind != tt.kind || string(f.ID) != tt.id || f.Method != tt.method || f.Failed != tt.failed {
				t.Errorf("got %v id=%s method=%q failed=%t", f.Kind, f.ID, f.Method, f.Failed)
			}
			if want := strings.Trim(tt.raw, " \t\r\n"); string(f.Raw) != want {
				t.Errorf("the bytes changed: %s", f.Raw)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	deep := func(n int) string {
		return `{"jsonrpc":"2.0","id":1,"method":"x","params":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
	}
	const parse, request = CodeParse, CodeInvalidRequest
	tests := []struct {
		name, raw string
		code      int
		id        string
		asks      bool
	}{
		{"nothing", ``, parse, ``, true},
		{"spaces", " \n", parse, ``, true},
		{"text", `hello`, parse, ``, true},
		{"byte order mark", "\ufeff{}", parse, ``, true},
		{"NUL", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\x00\"}", parse, `1`, true},
		{"NUL behind", `{"jsonrpc":"2.0","id":1,"method":"x"}` + "\x00", parse, `1`, true},
		{"cut off", `{"jsonrpc":"2.0","id":1,"method":"x`, parse, `1`, true},
		{"text behind", `{"jsonrpc":"2.0","id":1,"method":"x"}{}`, parse, `1`, true},
		{"two values", `1 2`, parse, ``, true},
		{"trailing comma", `{"jsonrpc":"2.0","id":1,"method":"x",}`, parse, `1`, true},
		{"NaN in a request", `{"jsonrpc":"2.0","method":"x","params":{"v":NaN},"id":5}`, parse, `5`, true},
		{"NaN in a response", `{"jsonrpc":"2.0","id":"q","result":[NaN, Infinity]}`, parse, `"q"`, false},
		{"NaN in a notification", `{"jsonrpc":"2.0","method":"x","params":NaN}`, parse, ``, false},
		{"single quotes", `{'jsonrpc':'2.0','id':1}`, parse, ``, true},
		{"raw line feed in a string", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\nb\"}", parse, `1`, true},
		{"nested too deeply", deep(10000), parse, `1`, true},
		{"broken batch", `[{"jsonrpc":"2.0","id":1,"method":"x"}`, parse, ``, true},
		{"number", `42`, request, ``, true},
		{"string", `"x"`, request, ``, true},
		{"empty object", `{}`, request, ``, true},
		{"version missing", `{"id":1,"method":"x"}`, request, `1`, true},
		{"version 1.0", `{"jsonrpc":"1.0","id":1,"method":"x"}`, request, `1`, true},
		{"version a number", `{"jsonrpc":2.0,"id":1,"method":"x"}`, request, `1`, true},
		{"response of version 1.0", `{"jsonrpc":"1.0","id":1,"result":1}`, request, `1`, false},
		{"notification without version", `{"method":"x"}`, request, ``, false},
		{"neither method nor result", `{"jsonrpc":"2.0","id":1}`, request, `1`, true},
		{"result and error", `{"jsonrpc":"2.0","id":1,"result":1,"error":{}}`, request, `1`, false},
		{"method and result", `{"jsonrpc":"2.0","id":1,"method":"x","result":1}`, request, `1`, true},
		{"params twice", `{"jsonrpc":"2.0","id":1,"method":"x","params":{},"params":{"name":"y"}}`, request, `1`, true},
		{"method a number", `{"jsonrpc":"2.0","id":1,"method":1}`, request, `1`, true},
		{"method null", `{"jsonrpc":"2.0","method":null}`, request, ``, true},
		{"id null", `{"jsonrpc":"2.0","id":null,"method":"x"}`, request, ``, true},
		{"id true", `{"jsonrpc":"2.0","id":true,"method":"x"}`, request, ``, true},
		{"id an object", `{"jsonrpc":"2.0","id":{"a":1},"method":"x"}`, request, ``, true},
		{"id an array", `{"jsonrpc":"2.0","id":[1],"method":"x"}`, request, ``, true},
		{"id twice", `{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}`, request, ``, true},
		{"id twice, once escaped", `{"jsonrpc":"2.0","id":1,"\u0069d":2,"method":"x"}`, request, ``, true},
		{"method twice", `{"jsonrpc":"2.0","id":1,"method":"x","method":"y"}`, request, `1`, true},
		{"method twice, id an object", `{"jsonrpc":"2.0","id":{},"method":"x","method":"y"}`, request, ``, true},
		{"method twice, id behind", `{"jsonrpc":"2.0","method":"x","method":"y","id":3}`, request, `3`, true},
		{"result twice", `{"jsonrpc":"2.0","id":1,"result":1,"result":2}`, request, `1`, false},
		{"id in another case", `{"jsonrpc":"2.0","ID":1,"method":"tools/call"}`, request, ``, false},
		{"method in another case", `{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}`, request, `1`, true},
		{"params in another case", `{"jsonrpc":"2.0","id":1,"method":"x","params":{},"PARAMS":{}}`, request, `1`, true},
		{"params with a letter that is folded", `{"jsonrpc":"2.0","id":1,"method":"x","param\u017f":{}}`, request, `1`, true},
		{"result in another case", `{"jsonrpc":"2.0","id":1,"result":1,"Error":2}`, request, `1`, false},
		{"version twice", `{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"x"}`, request, `1`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Parse([]byte(tt.raw))
			bad, ok := errors.AsType[*FrameError](err)
			if !ok {
				t.Fatalf("got %+v, %v, want a FrameError", f, err)
			}
			if bad.Code != tt.code || string(bad.ID) != tt.id || bad.Request != tt.asks {
				t.Errorf("got %d id=%s request=%t (%v), want %d id=%s request=%t",
					bad.Code, bad.ID, bad.Request, bad, tt.code, tt.id, tt.asks)
			}
			if answer := bad.Answer(); answer.Kind != Response || !answer.Failed {
				t.Errorf("its answer is %s", answer.Raw)
			}
		})
	}
	if _, err := Parse([]byte(deep(9999))); err != nil {
		t.Errorf("10000 brackets: %v", err)
	}
}

// FuzzParse holds Parse against encoding/json: the same texts are JSON, and
// the envelope is what a decoder sees.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"a":[1,2.5e-3,true,null,"\u00e9\n"]}}`,
		`{"method":"ping","jsonrpc":"2.0","id":"a\/b"}`,
		`[{"jsonrpc":"2.0","method":"x"},{"jsonrpc":"2.0","id":2,"result":{}}]`,
		`{"jsonrpc":"2.0","error":{"code":-32700,"message":"x"},"id":null}`,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\n\"method\":\"x\",\"params\":NaN}",
		`{"id":1,"id":2}`, `{"\u0069d":{}}`, `[[[[]]]]`, `-0.0e+1`, `"\ud800"`, `{"a":}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		frame, err := Parse(raw)
		bad, _ := errors.AsType[*FrameError](err)
		if err != nil && bad == nil {
			t.Fatalf("an error of another kind: %v", err)
		}
		if valid, ours := json.Valid(raw), err == nil || bad.Code != CodeParse; valid != ours {
			t.Fatalf("json.Valid says %t, Parse %v", valid, err)
		}
		if bad != nil {
			if a := bad.Answer(); a.Kind != Response || !a.Failed || !json.Valid(a.Raw) {
				t.Fatalf("bad answer %s", a.Raw)
			}
			return
		}
		if one := compact(frame.Raw); bytes.ContainsAny(one, "\r\n") {
			t.Fatalf("compact left a line break: %q", one)
		} else if !sameJSON(t, one, frame.Raw) {
			t.Fatalf("compact changed %s to %s", frame.Raw, one)
		}
		if frame.Kind == Batch {
			members, errs := frame.Split()
			var want []json.RawMessage
			if err := json.Unmarshal(frame.Raw, &want); err != nil || len(want) != len(members) || len(errs) != len(members) {
				t.Fatalf("%d members, encoding/json sees %d (%v)", len(members), len(want), err)
			}
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		if id := Lookup(frame.Raw, "id"); !bytes.Equal(id, want["id"]) && !bytes.Equal(id, frame.ID) {
			t.Fatalf("id %s, encoding/json sees %s", id, want["id"])
		}
		if m := LookupString(frame.Raw, "method"); m != frame.Method {
			t.Fatalf("Lookup sees method %q, Parse %q", m, frame.Method)
		}
		if frame.Kind != Notification {
			again, err := Parse(frame.WithID(ID(`"new id"`)).Raw)
			if err != nil || string(again.ID) != `"new id"` || again.Kind != frame.Kind {
				t.Fatalf("WithID made %s (%v)", again.Raw, err)
			}
		}
	})
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y bytes.Buffer
	if json.Compact(&x, a) != nil || json.Compact(&y, b) != nil {
		t.Fatalf("not JSON: %s or %s", a, b)
	}
	return bytes.Equal(x.Bytes(), y.Bytes())
}

func TestFind(t *testing.T) {
	const raw = `{ "a" : {"b":[1,{"c":2}], "b" : "last"}, "\u0062":7, "s":"x\"y", "o":{} }`
	tests := []struct {
		path []string
		want string // empty: not there
	}{
		{nil, raw},
		{[]string{"a", "b"}, `"last"`},
		{[]string{"b"}, `7`},
		{[]string{"s"}, `"x\"y"`},
		{[]string{"o"}, `{}`},
		{[]string{"o", "x"}, ``},
		{[]string{"a"}, `{"b":[1,{"c":2}], "b" : "last"}`},
		{[]string{"c"}, ``},
		{[]string{"a", "b", "c"}, ``},
		{[]string{"A"}, ``},
	}
	for _, tt := range tests {
		if got := string(Lookup([]byte(raw), tt.path...)); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.path, got, tt.want)
		}
		start, end, ok := Find([]byte(raw), tt.path...)
		if ok != (tt.want != "") || ok && raw[start:end] != tt.want {
			t.Errorf("%v: Find gave %d, %d, %t", tt.path, start, end, ok)
		}
	}
	if got := LookupString([]byte(raw), "s"); got != `x"y` {
		t.Errorf("LookupString: %q", got)
	}
	for _, path := range []string{"b", "o", "none"} {
		if got := LookupString([]byte(raw), path); got != "" {
			t.Errorf("LookupString of %s: %q, want nothing", path, got)
		}
	}
	if v := Lookup([]byte(`[1]`), "a"); v != nil {
		t.Errorf("in an array: %s", v)
	}
}

func TestSplit(t *testing.T) {
	const raw = `[ {"jsonrpc":"2.0","id":1,"method":"a"} , 7,[],{"jsonrpc":"2.0","method":"b"},{"jsonrpc":"2.0","id":2} ]`
	members, errs := MustParse(raw).Split()
	var got []string
	for i := range members {
		if errs[i] != nil {
			got = append(got, errs[i].Error())
			continue
		}
		got = append(got, string(members[i].Raw))
	}
	want := []string{
		`{"jsonrpc":"2.0","id":1,"method":"a"}`,
		"Invalid request: a message is a JSON object",
		"Invalid request: a batch inside a batch",
		`{"jsonrpc":"2.0","method":"b"}`,
		"Invalid request: neither method, result nor error",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q", got)
	}
	if members, errs := MustParse(`[]`).Split(); len(members)+len(errs) != 0 {
		t.Errorf("an empty batch has %d members", len(members))
	}
	single := MustParse(`{"jsonrpc":"2.0","method":"x"}`)
	if members, errs := single.Split(); len(members) != 1 || errs[0] != nil || members[0].Method != "x" {
		t.Errorf("a single message splits into %v, %v", members, errs)
	}
}

func TestSplitMembersKeepTheBatchAlive(t *testing.T) {
	const raw = `[{"jsonrpc":"2.0","method":"x"}]`
	batch, err := parseBuffer(newBuffer(0).appendBytes([]byte(raw)))
	if err != nil {
		t.Fatal(err)
	}
	members, _ := batch.Split()
	kept := members[0].Retain()
	batch.Release()
	if string(kept.Raw) != `{"jsonrpc":"2.0","method":"x"}` {
		t.Errorf("the member's bytes went with the batch: %q", kept.Raw)
	}
	kept.Release()
}

func TestNewErrorAndResult(t *testing.T) {
	tests := []struct {
		name string
		f    Frame
		want string
	}{
		{"error", NewError(ID(`7`), CodeMethodNotFound, `no <such> "x" & y`, nil), `{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no <such> \"x\" & y"}}`},
		{"data", NewError(ID(`"a"`), 1, "m", map[string]int{"n": 1}), `{"jsonrpc":"2.0","id":"a","error":{"code":1,"message":"m","data":{"n":1}}}`},
		{"no id", NewError(nil, CodeParse, "m", nil), `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}`},
		{"result", NewResult(ID(`9007199254740993`), struct{}{}), `{"jsonrpc":"2.0","id":9007199254740993,"result":{}}`},
		{"raw result", NewResult(ID(`1`), json.RawMessage(`{"big":9007199254740993}`)), `{"jsonrpc":"2.0","id":1,"result":{"big":9007199254740993}}`},
	}
	for _, tt := range tests {
		if string(tt.f.Raw) != tt.want || tt.f.Kind != Response {
			t.Errorf("%s: got %v %s, want %s", tt.name, tt.f.Kind, tt.f.Raw, tt.want)
		}
	}
}

// message returns a tools/call result whose text makes it about size bytes.
func message(size int) []byte {
	const head, tail = `{"jsonrpc":"2.0","id":123,"result":{"content":[{"type":"text","text":"`, `"}]}}`
	const text = `The quick brown fox jumps over the lazy dog.\n\"Quoted\" 0123456789. `
	n := max(size-len(head)-len(tail), 0)
	return []byte(head + strings.Repeat(text, n/len(text)) + strings.Repeat("x", n%len(text)) + tail)
}

func BenchmarkParse(b *testing.B) {
	for _, size := range []int{100, 5 << 20} {
		raw := message(size)
		b.Run(fmt.Sprintf("Parse/%d", size), func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("json.Valid/%d", size), func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if !json.Valid(raw) {
					b.Fatal("not JSON")
				}
			}
		})
	}
}
