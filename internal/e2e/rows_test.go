package e2e_test

import (
	"testing"
)

// TestRow16LogsAreNotOnStandardOutput: whatever the bridge has to log, at its
// most talkative and with a server that comes and goes, nothing but JSON-RPC
// stands on standard output; the peer complains about anything else.
func TestRow16LogsAreNotOnStandardOutput(t *testing.T) {
	t.Parallel()
	s, d, url := signedIn(t, 0)
	ctx := testContext(t)
	p, process := d.bridge(t, url)
	p.open(ctx)
	p.send(`this is no JSON`)
	if m := p.response(ctx); m.Error == nil || m.Error.Code != -32700 {
		t.Errorf("no JSON was answered with %s", m.raw)
	}
	p.works(ctx)
	s.down()
	s.up()
	p.works(ctx)
	if err := p.w.Close(); err != nil {
		t.Fatal(err)
	}
	s.ended(ctx, p, process, "")
	if process.stderr.String() == "" {
		t.Error("nothing was logged")
	}
}
