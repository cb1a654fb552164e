package era

import (
	"context"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// modernClient serves a client of the modern era before a legacy remote.
type modernClient struct{ t *Translator }

func newModernClient(t *Translator) *modernClient { return &modernClient{t} }

func (m *modernClient) exchange(ctx context.Context, f wire.Frame) error {
	return m.t.opts.Deliver(ctx, wire.NewError(f.ID, wire.CodeMethodNotFound,
		"Method not found: the server speaks an older protocol revision; open a session with initialize", nil))
}

func (m *modernClient) fromRemote(ctx context.Context, f wire.Frame) error {
	return m.t.opts.Deliver(ctx, f)
}

func (m *modernClient) end(context.Context) {}
