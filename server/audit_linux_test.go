package server_test

import (
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/server"
)

func TestFullDiskWithholdsAnswers(t *testing.T) {
	w := start(t, whoami, func(o *server.Options) { o.Config.Audit.File = "/dev/full" })
	_, body := w.do("POST", "/mcp", w.token(w.sample.Ada), initialize)
	if !strings.Contains(body, "withholds the answer") || strings.Contains(body, "serverInfo") {
		t.Errorf("got %s", body)
	}
	if !strings.Contains(w.log.String(), "no space left") {
		t.Error("the log does not say why")
	}
}
