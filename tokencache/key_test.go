package tokencache

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestNothingPrintsASecret(t *testing.T) {
	opts, _ := options(t)
	l := signIn(t, opts, ModeAuto, "the-tokens")
	k := l.cache.key

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%c"} {
		for _, value := range []any{k, *k, l.cache, l, []any{k, l.cache}, struct{ K *key }{k}, struct{ k *key }{k}, struct{ c *Cache }{l.cache}} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("test", "key", k, "cache", l.cache)
	}
	text, err := json.Marshal(map[string]any{"key": k})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	secret := k.secret()
	for _, secret := range []string{
		k.reveal(), string(secret[:]), fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret[:4]),
		strings.Trim(fmt.Sprint(secret[:3]), "[]"),
		"the-tokens", fmt.Sprintf("%x", "the-tokens"), strings.Trim(fmt.Sprint([]byte("the-tokens")), "[]"),
	} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q was printed", secret)
		}
	}
}

func TestKeyTextFitsEveryKeyring(t *testing.T) {
	k := newKey()
	text := k.reveal()
	if len(text) != 43 {
		t.Errorf("the text has %d characters, want 43", len(text))
	}
	again, err := parseKey(k.id, text)
	if err != nil || again.secret() != k.secret() {
		t.Errorf("reading it back: %v", err)
	}
	for _, bad := range []string{"", "short", text[:42], text + "A", strings.Repeat("!", 43)} {
		if _, err := parseKey(k.id, bad); err == nil {
			t.Errorf("%q passes for a key", bad)
		} else if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q quotes the entry", err)
		}
	}
}
