package gateway

import (
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/state"
)

// ShareOptions configure Share.
type ShareOptions struct {
	// Store is what the replicas share. Required.
	Store state.Store
	// KeepBytes bounds what one session keeps for clients that resume a stream, in
	// bytes (4 MiB). 1,024 events and five minutes are further bounds.
	KeepBytes int
}

const (
	keepEvents = 1024
	keepAge    = 5 * time.Minute
)

// Share lets a front keep in the store what other replicas need to serve its
// clients. Call it before the front is made.
func Share(front *wire.FrontOptions, o ShareOptions) {
	if o.KeepBytes <= 0 {
		o.KeepBytes = 4 << 20
	}
	front.Events = events{o.Store, state.Keep{Events: keepEvents, Bytes: o.KeepBytes, Age: keepAge}}
}
