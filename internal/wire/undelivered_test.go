package wire

import "testing"

func TestUndelivered(t *testing.T) {
	if f := NewUndelivered(ID("7"), -31010, "The session has ended"); !Undelivered(f) || string(f.ID) != "7" || LookupString(f.Raw, "error", "message") != "The session has ended" {
		t.Errorf("got %s", f.Raw)
	}
	for _, raw := range []string{
		`{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"m"}}`,
		`{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"m","data":{"mcpctl/undelivered":false}}}`,
		`{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"m","data":"mcpctl/undelivered"}}`,
		`{"jsonrpc":"2.0","id":7,"result":{"data":{"mcpctl/undelivered":true}}}`,
		`{"jsonrpc":"2.0","id":7,"method":"m","params":{"error":{"data":{"mcpctl/undelivered":true}}}}`,
	} {
		if Undelivered(MustParse(raw)) {
			t.Errorf("%s is taken for undelivered", raw)
		}
	}
}
