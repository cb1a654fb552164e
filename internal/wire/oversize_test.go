package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestSkim(t *testing.T) {
	long := strings.Repeat("x", 2*maxToken)
	tests := []struct {
		name, raw string
		id        string
		asks      bool
	}{
		{"id first", `{"id":1,"method":"x"}`, `1`, true},
		{"id last", `{"method":"x","params":{"id":2,"a":["}",{"id":3}]},"jsonrpc":"2.0","id":"l\"a,st"}`, `"l\"a,st"`, true},
		{"escaped name", `{"method":"x","\u0069d":4}`, `4`, true},
		{"notification", `{"method":"x","params":{"id":1}}`, ``, false},
		{"response", `{"result":{"method":"x","id":1},"id":5}`, `5`, false},
		{"error", `{"id":6,"error":{}}`, `6`, false},
		{"response to nobody", `{"id":null,"error":{}}`, ``, false},
		{"id twice", `{"id":1,"id":2,"method":"x"}`, ``, true},
		{"id an object", `{"id":{"id":1},"method":"x"}`, ``, true},
		{"id too long", `{"id":"` + long + `","method":"x"}`, ``, true},
		{"method too long", `{"method":"` + long + `","id":1}`, `1`, true},
		{"name too long", `{"` + long + `":"x","id":1,"method":"x"}`, `1`, true},
		{"string in string", `{"method":"x","params":"\",\"id\":7,\"","id":8}`, `8`, true},
		{"id that is two", `{"id":1 2,"method":"x"}`, ``, true},
		{"id that is no value", `{"id":1x,"method":"x"}`, ``, true},
		{"cut before the id", `{"method":"x","params":{"a":"` + long, ``, true},
		{"cut result", `{"id":1,"result":"` + long, `1`, false},
		{"batch", `[{"id":1,"method":"x"}]`, ``, true},
		{"text", `hello {"id":1}`, ``, true},
		{"text behind", `{"method":"x"},"id":1}`, ``, false},
		{"closing bracket", `}{"id":1}`, ``, true},
		{"string", `"id":1`, ``, true},
		{"nothing", ``, ``, true},
	}
	for _, tt := range tests {
		for _, step := range []int{1, 2, 3, 7, 1 << 20} {
			var s skim
			for part := range chunks(tt.raw, step) {
				s.feed(part)
			}
			if id, asks := s.envelope(); string(id) != tt.id || asks != tt.asks {
				t.Errorf("%s, %d bytes at a time: id=%s asks=%t, want id=%s asks=%t", tt.name, step, id, asks, tt.id, tt.asks)
			}
		}
	}
}

func chunks(text string, step int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for rest := []byte(text); len(rest) > 0; rest = rest[min(step, len(rest)):] {
			if !yield(rest[:min(step, len(rest))]) {
				return
			}
		}
	}
}

func TestTooLargeNamesTheLimit(t *testing.T) {
	var s skim
	s.feed([]byte(`{"jsonrpc":"2.0","id":3,"method":"x"}`))
	bad := s.tooLarge(10)
	want := `{"jsonrpc":"2.0","id":3,"error":{"code":-32600,"message":"Invalid request: the message has 37 bytes, more than the limit of 10 bytes; the limit can be raised by configuration"}}`
	if got := string(bad.Answer().Raw); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// FuzzOversize holds skim against Parse on what is JSON, and wants an answer
// that can be sent for anything else.
func FuzzOversize(f *testing.F) {
	for _, seed := range []string{
		`{"method":"x","params":{"id":2,"a":["}",{"id":3}]},"jsonrpc":"2.0","id":"l\"a,st"}`,
		`{"jsonrpc":"2.0","\u0069d":4,"result":[[],{}]}`,
		`{"jsonrpc":"2.0","method":"x"}`, `{"id":1 2}`, `[]`, `"`, `{"id":{}}`,
	} {
		f.Add([]byte(seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, raw []byte, step uint8) {
		var s skim
		for part := range chunks(string(raw), int(step)+1) {
			s.feed(part)
		}
		id, asks := s.envelope()
		if a := s.tooLarge(1).Answer(); a.Kind != Response || !json.Valid(a.Raw) {
			t.Fatalf("bad answer %s", a.Raw)
		}
		frame, err := Parse(raw)
		wantID, wantAsks := frame.ID, frame.Kind == Request
		if bad, ok := errors.AsType[*FrameError](err); ok {
			if bad.Code == CodeParse {
				return
			}
			wantID, wantAsks = bad.ID, bad.Request
		}
		if wantID.Null() {
			wantID = nil
		}
		if frame.Kind == Batch {
			wantAsks = true
		}
		if len(wantID) > maxToken {
			wantID = nil
		}
		if !bytes.Equal(id, wantID) || asks != wantAsks {
			t.Fatalf("skim: id=%s asks=%t; Parse: id=%s asks=%t (%v)", id, asks, wantID, wantAsks, err)
		}
	})
}

func BenchmarkSkim(b *testing.B) {
	raw := message(5 << 20)
	b.Run(fmt.Sprint(len(raw)), func(b *testing.B) {
		b.SetBytes(int64(len(raw)))
		b.ReportAllocs()
		for b.Loop() {
			var s skim
			s.feed(raw)
		}
	})
}
