package wire

import (
	"net/http"
	"testing"
)

func TestFrontAnswersWithJSONWhenNothingElseBelongsToTheRequest(t *testing.T) {
	c := startFront(t, FrontOptions{}).open("2025-06-18")
	resp := c.do(http.MethodPost, request("9007199254740993", "test/echo", `{"z":1,"a":1e400}`), nil)
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	got := texts(readMessages(t, resp))
	if want := `{"jsonrpc":"2.0","id":9007199254740993,"result":{"z":1,"a":1e400}}`; len(got) != 1 || got[0] != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestFrontStreamsRelatedMessagesBeforeTheResponse(t *testing.T) {
	c := startFront(t, FrontOptions{}).open("2025-06-18")
	got := c.call(request("1", "test/progress", `{"n":5}`))
	if len(got) != 6 || got[5].Kind != Response {
		t.Fatalf("got %v", texts(got))
	}
	for i, f := range got[:5] {
		if p := string(Lookup(f.Raw, "params", "progress")); p != string(rune('0'+i)) {
			t.Errorf("message %d is %s", i, f.Raw)
		}
	}
}
