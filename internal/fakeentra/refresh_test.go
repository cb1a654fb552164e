package fakeentra

import "testing"

func TestRefreshStoreForgetsTheOldest(t *testing.T) {
	r := newRefreshStore(100)
	var tokens []string
	for range 105 {
		tokens = append(tokens, r.add(refreshToken{}))
	}
	if len(r.tokens) > 100 || len(r.tokens) != len(r.order) {
		t.Errorf("%d tokens, %d in order", len(r.tokens), len(r.order))
	}
	if r.get(tokens[0]) != nil {
		t.Error("the oldest token is still there")
	}
	for _, token := range tokens[10:] {
		if r.get(token) == nil {
			t.Error("a younger token is gone")
		}
	}
}
