package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Header names of MCP 2025-03-26 and later (basic/transports).
const (
	HeaderSession  = "Mcp-Session-Id"
	HeaderProtocol = "Mcp-Protocol-Version"
	headerLastID   = "Last-Event-Id"
)

// drainAfterAnswer is how long a stream is read on after its response: servers
// should end it at once, and reading to its end keeps the connection usable.
const drainAfterAnswer = 5 * time.Second

// StreamableClient is the client end of Streamable HTTP (MCP 2025-03-26 to
// 2025-11-25, basic/transports; of 2026-07-28 the plain POST). It keeps the session id
// and the negotiated version from initialize on. All methods may be called
// concurrently, save that initialize comes first.
type StreamableClient struct {
	opts ClientOptions
	wg   sync.WaitGroup // goroutines that read a stream after its answer
	life context.Context
	stop context.CancelFunc // ends them

	mu       sync.Mutex
	session  string
	protocol string
}

// NewStreamableClient returns a client that has not connected yet.
func NewStreamableClient(opts ClientOptions) (*StreamableClient, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &StreamableClient{opts: opts}
	c.life, c.stop = context.WithCancel(context.Background())
	return c, nil
}

// Session returns the session id and the negotiated protocol version, each ""
// where there is none.
func (c *StreamableClient) Session() (id, protocol string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session, c.protocol
}

func (c *StreamableClient) setSession(id, protocol string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session, c.protocol = id, protocol
}

func (c *StreamableClient) setProtocol(version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.protocol = version
}

func (c *StreamableClient) request(ctx context.Context, method string, body *Frame) (*http.Request, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.opts.URL, nil)
	if err != nil {
		return nil, "", err
	}
	for name, values := range c.opts.Header {
		req.Header[name] = values
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	session, protocol := c.Session()
	if body != nil && body.Method == "initialize" && body.Kind == Request {
		session, protocol = "", "" // a new session; the old one must not be named
	}
	if session != "" {
		req.Header.Set(HeaderSession, session)
	}
	if protocol != "" {
		req.Header.Set(HeaderProtocol, protocol)
	}
	if body != nil {
		f := *body
		req.Header.Set("Content-Type", "application/json")
		setFrameBody(req, f)
		if c.opts.Annotate != nil {
			c.opts.Annotate(f, req.Header)
		}
	}
	return req, session, nil
}

// Exchange implements [Remote]. A request ends with its response delivered,
// or with an error: *StatusError, ErrSessionLost, ErrNotSent, ErrNoAnswer.
func (c *StreamableClient) Exchange(ctx context.Context, f Frame) error {
	if f.Kind == Batch {
		return errors.New("wire: a batch is exchanged message by message")
	}
	ctx, cancel := context.WithCancel(ctx)
	req, session, err := c.request(ctx, http.MethodPost, &f)
	if err != nil {
		cancel()
		return err
	}
	resp, err := c.opts.HTTP.Do(req)
	if err != nil {
		err = sendError(ctx, err)
		cancel()
		return err
	}
	x := &exchange{client: c, ctx: ctx, cancel: cancel, session: session}
	if f.Kind == Request {
		x.pending, x.initialize = f.ID, f.Method == "initialize"
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer cancel()
		err := statusError(resp, cancel)
		if resp.StatusCode == http.StatusNotFound && session != "" {
			// MCP basic/transports, Session Management: 404 ends the session.
			return fmt.Errorf("%w: %w", ErrSessionLost, err)
		}
		return err
	}
	if x.initialize {
		x.session = resp.Header.Get(HeaderSession)
		c.setSession(x.session, "")
	}
	if f.Kind != Request {
		// Nothing of interest may follow: 202 without a body (basic/transports).
		discard(resp, cancel)
		cancel()
		return nil
	}
	return x.run(resp)
}

// Listen implements [Remote]: the GET stream of basic/transports, "Listening
// for Messages from the Server". It reconnects with Last-Event-ID after a
// drop and returns ErrNoListen when the server has no such stream.
func (c *StreamableClient) Listen(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	x := &exchange{client: c, ctx: ctx, cancel: cancel, listening: true}
	return x.resume(errors.New("the stream has not been opened"))
}

// End implements [Remote]: DELETE, which a server may refuse with 405. It is
// called once, after all exchanges have returned.
func (c *StreamableClient) End(ctx context.Context) error {
	defer c.wg.Wait()
	c.stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, session, err := c.request(ctx, http.MethodDelete, nil)
	if err != nil || session == "" {
		return err
	}
	resp, err := c.opts.HTTP.Do(req)
	if err != nil {
		return sendError(ctx, err)
	}
	defer discard(resp, cancel)
	if resp.StatusCode > 299 && resp.StatusCode != http.StatusMethodNotAllowed && resp.StatusCode != http.StatusNotFound {
		return &StatusError{Status: resp.StatusCode, Header: resp.Header}
	}
	c.setSession("", "")
	return nil
}
