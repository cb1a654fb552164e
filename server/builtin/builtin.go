// Package builtin holds the MCP servers that the program brings along: whoami,
// which says who calls, graph, which reads Microsoft Graph on the caller's
// behalf, and market, sample data to try tools, progress, cancellation and
// subscriptions with. They live in the process; each session
// reaches them through a [wire.Conn] of its own, exactly as it would reach a
// child process or a remote server.
//
// Tools are declared with mcp-go, which parses and answers single messages.
// Everything between messages belongs to this package, because mcp-go loses
// notifications to a slow reader, rounds ids above 2^53 and keeps no
// subscriptions: the queue, the ids, cancellation, progress, log messages and
// resource updates.
package builtin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Caller is who sent a message, as far as the server has proven it. It never
// holds a token. The zero Caller is nobody in particular.
type Caller struct {
	TenantID string // tid
	ObjectID string // oid
	Name     string // what a person calls the account; not an identity
	Username string // sign-in name; may change hands, not an identity
	ClientID string // the client app that asked for the token (azp, appid)
	Scopes   []string
	Roles    []string
	AppOnly  bool // an application on its own behalf, no person behind it
}

// Options configure the built-in servers.
type Options struct {
	// Names are the features to offer, of those that [Names] lists.
	Names []string
	// Caller returns who sent the message that ctx was passed to Write with.
	// It is called from several goroutines. nil means that nobody is known.
	Caller func(ctx context.Context) Caller
	// Graph is required where Names has graph.
	Graph GraphOptions
	// Version is told to clients; "dev" when empty.
	Version string
	// Seed chooses the prices of the simulated market. Servers with the same
	// seed and the same clock show the same prices.
	Seed uint64
	// Now is the clock of the market; nil means time.Now.
	Now func() time.Time
	// Logger receives faults of the program; nil discards them.
	Logger *slog.Logger
}

// Server offers built-in tools to any number of sessions. Its methods may be
// called from several goroutines.
type Server struct {
	mcp    *server.MCPServer
	caller func(context.Context) Caller
	market *market // nil unless offered
	logger *slog.Logger
}

// Names lists what [Options] may name.
func Names() []string { return []string{"graph", "market", "whoami"} }

// New returns a server with the features that opts names. It refuses an empty
// list, an unknown name and one that stands twice.
func New(opts Options) (*Server, error) {
	if len(opts.Names) == 0 {
		return nil, fmt.Errorf("no built-in tools named: choose from %s", strings.Join(Names(), ", "))
	}
	s := &Server{caller: opts.Caller, logger: opts.Logger}
	if s.caller == nil {
		s.caller = func(context.Context) Caller { return Caller{} }
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	now := opts.Now
	if now == nil {
		now = time.Now
	}
	version := opts.Version
	if version == "" {
		version = "dev"
	}

	var faults []error
	for i, name := range opts.Names {
		switch {
		case !slices.Contains(Names(), name):
			faults = append(faults, fmt.Errorf("no built-in tools called %q: choose from %s", name, strings.Join(Names(), ", ")))
		case slices.Contains(opts.Names[:i], name):
			faults = append(faults, fmt.Errorf("built-in tools %q are named twice", name))
		}
	}
	var graph *graph
	if slices.Contains(opts.Names, "graph") {
		var err error
		if graph, err = newGraph(opts.Graph); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}

	// The lists never change while the server runs: no listChanged anywhere.
	settings := []server.ServerOption{
		server.WithTitle("mcpctl built-in tools"),
		server.WithToolCapabilities(false),
		server.WithLogging(),
		server.WithToolHandlerMiddleware(s.checkArguments),
		server.WithOutputSchemaValidation(),
	}
	withMarket := slices.Contains(opts.Names, "market")
	if withMarket {
		settings = append(settings,
			server.WithResourceCapabilities(true, false),
			server.WithPromptCapabilities(false),
			server.WithInstructions("The market is a simulation with invented companies and prices. Nothing is traded."))
	}
	s.mcp = server.NewMCPServer("mcpctl-builtin", version, settings...)
	if withMarket {
		s.market = newMarket(opts.Seed, now)
		s.market.register(s.mcp)
	}
	if graph != nil {
		graph.register(s.mcp)
	}
	if slices.Contains(opts.Names, "whoami") {
		s.registerWhoami()
	}
	return s, nil
}

// Open returns a connection that is one session with the server. ctx bounds
// the opening only; the session lasts until Close.
//
// The values of the ctx that a message is passed to Write with are what its
// tool sees. The end of that ctx does not end the tool: a
// notifications/cancelled with its id does, and so does Close.
//
// Close waits for every tool of the session; what was not read is dropped.
func (s *Server) Open(ctx context.Context) (wire.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("opening built-in tools: %w", err)
	}
	return newConn(ctx, s), nil
}
