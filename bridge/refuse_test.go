package bridge

import (
	"errors"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// A bridge that can't begin says so to each request, in the client's own terms.
func TestRefuseAnswersEachRequest(t *testing.T) {
	reason := errors.New("there is no home")
	in := strings.NewReader(initialize + "\n" + `{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\n" + `{"jsonrpc":"2.0","id":"a"}` + "\n" + `{"jsonrpc":"2.0","id":7,"method":"tools/list"}` + "\n")
	var out strings.Builder
	if err := Refuse(t.Context(), wire.NewStream(in, &out, wire.StreamOptions{}), reason); !errors.Is(err, reason) {
		t.Errorf("ended with %v", err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) < 2 || strings.Count(out.String(), reason.Error()) != 2 || !strings.Contains(lines[len(lines)-1], `"id":7`) {
		t.Errorf("got %s", out.String())
	}
}
