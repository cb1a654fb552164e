package bridge

import "github.com/mcpctl/mcpctl/internal/wire"

// Connection is the bridge's connection to a server, for a client inside this
// program. It authenticates, recovers and explains failures as [Run] does; the
// bridge's own answers are JSON-RPC errors with the Code constants.
type Connection struct {
	*wire.ClientConn
	remote *remote
}

var _ wire.Conn = (*Connection)(nil)

// Connect returns a connection to the server at opts.URL. Nothing is sent yet.
// Options.Client and FinishTimeout have no meaning here.
func Connect(opts Options) (*Connection, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Connection{}
	opts.dialed = func(r *remote) { c.remote = r }
	if c.ClientConn, _, err = connect(opts); err != nil {
		return nil, err
	}
	return c, nil
}

// Transport returns the transport in use: TransportHTTP or TransportSSE. With
// TransportAuto that is settled by the server's answer to initialize.
func (c *Connection) Transport() string {
	switch c.remote.current().(type) {
	case *wire.SSEClient, nil:
		return TransportSSE
	}
	return TransportHTTP
}
