package entra

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestSecretNeverPrints(t *testing.T) {
	const value = "eyJ-the-token"
	secret := NewSecret(value)
	token := AccessToken{Value: secret, ExpiresOn: time.Unix(0, 0)}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v"} {
		fmt.Fprintf(&out, verb+"\n", secret)
		fmt.Fprintf(&out, verb+"\n", &secret)
		fmt.Fprintf(&out, verb+"\n", token)
		fmt.Fprintf(&out, verb+"\n", map[string]any{"k": secret})
	}
	for _, v := range []any{secret, &secret, token, map[string]Secret{"k": secret}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	logger := slog.New(slog.NewJSONHandler(&out, nil))
	logger.Info("m", "secret", secret, "token", token)
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "secret", secret, "token", token)
	text := out.String()
	hex := fmt.Sprintf("%x", value)
	if strings.Contains(text, value) || strings.Contains(strings.ToLower(text), hex) {
		t.Errorf("the secret got out:\n%s", text)
	}
	if !strings.Contains(text, redacted) {
		t.Error("nothing says that it was redacted")
	}
	if secret.Reveal() != value {
		t.Error("Reveal does not return the value")
	}
}
