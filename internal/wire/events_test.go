package wire

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readAllEvents renders what a stream holds, one line an event.
func readAllEvents(r io.Reader, maxData int) string {
	er := newEventReader(r, maxData, "")
	defer er.free()
	var out strings.Builder
	for {
		ev, err := er.next()
		if errors.Is(err, errEventTooLarge) {
			fmt.Fprintf(&out, "too large: %d\n", ev.size)
			continue
		}
		if err != nil {
			fmt.Fprintf(&out, "end %v\n", err)
			return out.String()
		}
		data := "-"
		if ev.data != nil {
			data = fmt.Sprintf("%q", ev.data.b)
			ev.data.release()
		}
		fmt.Fprintf(&out, "name=%s id=%s retry=%v data=%s\n", ev.name, ev.id, ev.retry, data)
	}
}

func TestEventStream(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"plain", "data: {}\n\n", `name= id= retry=0s data="{}"` + "\nend EOF\n"},
		{"CRLF", "event: message\r\ndata: {}\r\n\r\n", `name=message id= retry=0s data="{}"` + "\nend EOF\n"},
		{"CR", "data: {}\r\rdata: 1\r\r", "name= id= retry=0s data=\"{}\"\nname= id= retry=0s data=\"1\"\nend EOF\n"},
		{"no space after the colon", "data:{}\n\n", `name= id= retry=0s data="{}"` + "\nend EOF\n"},
		{"only the first space is dropped", "data:  x\n\n", `name= id= retry=0s data=" x"` + "\nend EOF\n"},
		{"byte order mark", "\ufeffdata: 1\n\n", `name= id= retry=0s data="1"` + "\nend EOF\n"},
		{"several data lines", "data: {\ndata: }\n\n", `name= id= retry=0s data="{\n}"` + "\nend EOF\n"},
		{"comments are nothing", ": keep-alive\n\n:\n\ndata: 1\n\n", `name= id= retry=0s data="1"` + "\nend EOF\n"},
		{"priming event", "id: 7\nretry: 250\ndata:\n\n", "name= id=7 retry=250ms data=-\nend EOF\n"},
		{"the id stays", "id: 7\ndata: 1\n\ndata: 2\n\n", "name= id=7 retry=0s data=\"1\"\nname= id=7 retry=0s data=\"2\"\nend EOF\n"},
		{"an id with NUL is ignored", "id: a\x00b\ndata: 1\n\n", `name= id= retry=0s data="1"` + "\nend EOF\n"},
		{"a retry that is no number is ignored", "retry: soon\ndata: 1\n\n", `name= id= retry=0s data="1"` + "\nend EOF\n"},
		{"an unfinished event is dropped", "data: 1\n\ndata: 2\n", `name= id= retry=0s data="1"` + "\nend EOF\n"},
		{"too large", "data: 123456789012345678901\n\ndata: 2\n\n", "too large: 21\nname= id= retry=0s data=\"2\"\nend EOF\n"},
		{"too large over lines", "data: 12345678901\ndata: 12345678901\n\ndata: 2\n\n", "too large: 23\nname= id= retry=0s data=\"2\"\nend EOF\n"},
		{"unknown fields", "wine: red\ndata: 1\n\n", `name= id= retry=0s data="1"` + "\nend EOF\n"},
		{"long foreign field", strings.Repeat("x", 2000) + ": y\ndata: 1\n\n", `name= id= retry=0s data="1"` + "\nend EOF\n"},
		{"nothing", "", "end EOF\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := readAllEvents(strings.NewReader(tc.in), 20); got != tc.want {
				t.Errorf("got\n%swant\n%s", got, tc.want)
			}
			if got := readAllEvents(iotest.OneByteReader(strings.NewReader(tc.in)), 20); got != tc.want {
				t.Errorf("byte by byte: got\n%swant\n%s", got, tc.want)
			}
		})
	}
}

// However the network cuts a stream, the same events come out.
func FuzzEventStream(f *testing.F) {
	f.Add("id: 1\ndata: {}\n\n:\r\n\r\ndata: x\rdata\r\r")
	f.Add("\ufeffevent: endpoint\ndata: /m\n\nretry: 5\n\n")
	f.Fuzz(func(t *testing.T, in string) {
		whole := readAllEvents(strings.NewReader(in), 64)
		if bytewise := readAllEvents(iotest.OneByteReader(strings.NewReader(in)), 64); whole != bytewise {
			t.Errorf("in one piece:\n%sbyte by byte:\n%s", whole, bytewise)
		}
	})
}
