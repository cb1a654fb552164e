// Package bridge is the client half of mcpctl: it relays the JSON-RPC of a
// local MCP client on stdio to a remote MCP server over HTTP, with a fresh
// access token on every request.
//
// Messages pass as the bytes they came in. Every request of the client gets
// exactly one answer: the server's, or a JSON-RPC error that says what happened
// and what to do next.
package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/mcpctl/mcpctl/internal/era"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// Transports that a remote can be spoken to with.
const (
	TransportAuto = "auto" // Streamable HTTP, HTTP+SSE where that is refused
	TransportHTTP = "http"
	TransportSSE  = "sse"
)

// Options configure one run of the bridge.
type Options struct {
	// Client is the connection to the local MCP client. Run closes it.
	Client wire.Conn
	// URL is the remote MCP endpoint.
	URL string
	// Transport is one of the Transport constants; "" means auto.
	Transport string
	// Pinned says which transport TransportAuto stands for: a Transport constant,
	// "" for auto. It is asked before each session, so that a sign-in made
	// meanwhile counts. It may be nil and is called concurrently.
	Pinned func() string
	// Protocol is what the remote is spoken to with: "auto" or "" mirrors the
	// client and translates only where the remote refuses; else a revision of MCP.
	Protocol string
	// Verdicts remembers which era remotes speak; nil is for this run only.
	Verdicts era.VerdictStore
	// Tokens brings access tokens; nil sends none.
	Tokens TokenSource
	// HTTP carries the requests. Default: wire.NewTransport().
	HTTP http.RoundTripper
	// Header is added to every request.
	Header http.Header
	// MaxMessage is the size cap of one message in bytes. Default 64 MiB.
	MaxMessage int
	// MaxInFlight is how many requests may wait for the server at a time; more
	// are answered with an error. Default 1,000.
	MaxInFlight int
	// Patience bounds how long a request is tried again that did not reach the
	// server, was turned away for the time being, or needs a new session.
	// Default 20 s: MCP clients give up after 30 or 60. For initialize at an
	// address that refuses connections it is a third of that: a server that is
	// being restarted is caught, and a wrong address told while somebody looks.
	Patience time.Duration
	// FinishTimeout bounds how long calls in flight are waited for after the
	// client has closed its end. Default 10 s.
	FinishTimeout time.Duration
	// EndTimeout bounds how long ending the remote session may take. Default 1.5 s.
	EndTimeout time.Duration
	// CancelGrace is how long a cancelled request's stream is kept for a server
	// that still has to end it. Default 30 s.
	CancelGrace time.Duration
	Logger      *slog.Logger

	dialed  func(*remote) // told the remote that connect makes; may be nil
	guarded func(*signIn) // told the sign-in step in front of it; may be nil
	awake   func(func())  // told what to call when the machine wakes from sleep; may be nil
}

func (o Options) withDefaults() (Options, error) {
	switch o.Transport {
	case "":
		o.Transport = TransportAuto
	case TransportAuto, TransportHTTP, TransportSSE:
	default:
		return o, fmt.Errorf("unknown transport %q: use auto, http or sse", o.Transport)
	}
	if o.Transport == TransportSSE { // belongs to the revisions that begin with initialize
		switch o.Protocol {
		case "", era.ModeAuto:
			o.Protocol = legacyRevisions[0]
		case modernRevision:
			return o, fmt.Errorf("MCP %s has no HTTP+SSE: use the transport http, or leave out the protocol", modernRevision)
		}
	}
	if o.HTTP == nil {
		o.HTTP = wire.NewTransport()
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 1000
	}
	if o.Patience <= 0 {
		o.Patience = 20 * time.Second
	}
	if o.FinishTimeout <= 0 {
		o.FinishTimeout = 10 * time.Second
	}
	if o.EndTimeout <= 0 {
		o.EndTimeout = 1500 * time.Millisecond
	}
	if o.CancelGrace <= 0 {
		o.CancelGrace = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Run relays until the client closes its end (nil, if all that was for it could
// be written), ctx ends (its error), or the client's connection breaks. Nothing is sent to the remote before the
// client's first message. On return the remote session has been ended, or the
// attempt was given up in time, and nothing of the bridge runs any more.
func Run(ctx context.Context, opts Options) error {
	if opts.Client == nil {
		return errors.New("bridge: Options.Client is missing")
	}
	opts, err := opts.withDefaults()
	if err != nil {
		return err
	}
	var front *signIn
	opts.guarded = func(s *signIn) { front = s }
	server, wake, err := connect(opts)
	if err != nil {
		return err
	}
	if opts.awake != nil {
		opts.awake(wake)
	}
	log := opts.Logger

	var background sync.WaitGroup
	watch, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer background.Wait()
	defer stopWatching()
	background.Go(func() { watchForWake(watch, wake) })

	// Answers must reach the client after reading from it has ended. Where they
	// can't, there is nothing to read for.
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	down := make(chan error, 1)
	background.Go(func() {
		err := toClient(context.WithoutCancel(ctx), opts.Client, server)
		if err != nil {
			stopReading()
		}
		down <- err
	})

	err = fromClient(reading, opts.Client, server, log)
	deaf := reading.Err() != nil && ctx.Err() == nil
	finish, cancel := context.WithTimeout(ctx, opts.FinishTimeout)
	defer cancel()
	if !errors.Is(err, io.EOF) {
		cancel() // the client is gone or we are told to stop: no time for calls
	}
	front.clientGone()
	background.Go(func() { server.Drain(finish) })
	var lost error // why an answer did not reach the client
	select {
	case lost = <-down:
	case <-time.After(opts.FinishTimeout + opts.EndTimeout):
		log.Warn("the client does not take its answers")
	}
	if closeErr := server.Close(); closeErr != nil {
		log.Debug("ending the session failed", "reason", closeErr)
	}
	if closeErr := opts.Client.Close(); lost == nil {
		lost = closeErr // what was queued leaves here at the latest
	}
	switch {
	case lost != nil && (deaf || errors.Is(err, io.EOF) && !hungUp(lost)):
		return fmt.Errorf("writing to the client: %w", lost)
	case lost != nil:
		log.Warn("writing to the client failed", "reason", lost)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// hungUp reports a write that failed since nobody reads any more: a client that
// has closed its end may close the other at once, without waiting for answers.
func hungUp(err error) bool {
	if runtime.GOOS == "windows" {
		const brokenPipe, noData = syscall.Errno(109), syscall.Errno(232) // ERROR_BROKEN_PIPE, ERROR_NO_DATA
		return errors.Is(err, brokenPipe) || errors.Is(err, noData) || errors.Is(err, io.ErrClosedPipe)
	}
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}

// fromClient passes the client's messages on until its end.
func fromClient(ctx context.Context, client, server wire.Conn, log *slog.Logger) error {
	for {
		f, err := client.Read(ctx)
		var bad *wire.FrameError
		switch {
		case errors.As(err, &bad):
			log.Warn("a message from the client was refused", "reason", bad.Reason)
			if !bad.Request {
				continue
			}
			if err := client.Write(ctx, bad.Answer()); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		err = server.Write(ctx, f)
		f.Release()
		if err != nil {
			return err
		}
	}
}

// toClient passes the server's messages on until its end.
func toClient(ctx context.Context, client, server wire.Conn) error {
	for {
		f, err := server.Read(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		err = client.Write(ctx, f)
		f.Release()
		if err != nil {
			return err
		}
	}
}
