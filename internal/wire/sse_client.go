package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
)

// SSEClient is the client end of HTTP+SSE (MCP 2024-11-05, basic/transports):
// one GET stream carries everything from the server, messages to it are POSTed
// to the address that the stream names first. The stream is the session: when
// it ends, every exchange ends with ErrNoAnswer and a new client is needed.
type SSEClient struct {
	opts ClientOptions
	life context.Context
	stop context.CancelFunc
	done chan struct{} // closed when the stream has ended

	mu       sync.Mutex
	endpoint string
	pending  map[string]*sseCall // by id key
	err      error               // why the stream ended
}

// sseCall is a request whose response has not come yet.
type sseCall struct {
	id       ID
	answered chan struct{} // closed when the response was delivered
}

// ErrForeignEndpoint means that the server names an address at another origin for
// messages, which would carry credentials there.
var ErrForeignEndpoint = errors.New("the server names a message address at another origin")

// ConnectSSE opens the stream and waits for the server's endpoint event. ctx
// bounds the connecting only; the stream lives until End.
func ConnectSSE(ctx context.Context, opts ClientOptions) (*SSEClient, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &SSEClient{opts: opts, done: make(chan struct{}), pending: map[string]*sseCall{}}
	c.life, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	// Until the endpoint is known, the caller's patience is the stream's life.
	release := context.AfterFunc(ctx, c.stop)
	r, resp, err := c.open()
	if err != nil {
		c.stop()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	if !release() {
		c.stop()
		r.free()
		_ = resp.Body.Close()
		return nil, ctx.Err()
	}
	go c.read(r, resp)
	return c, nil
}

func (c *SSEClient) open() (*eventReader, *http.Response, error) {
	req, err := http.NewRequestWithContext(c.life, http.MethodGet, c.opts.URL, nil)
	if err != nil {
		return nil, nil, err
	}
	for name, values := range c.opts.Header {
		req.Header[name] = values
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := c.opts.HTTP.Do(req)
	if err != nil {
		return nil, nil, sendError(c.life, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, nil, statusError(resp, c.stop)
	}
	if t := contentType(resp.Header); t != "text/event-stream" {
		discard(resp, c.stop)
		return nil, nil, &ContentError{Status: resp.StatusCode, Type: resp.Header.Get("Content-Type")}
	}
	r := newEventReader(resp.Body, c.opts.MaxMessage, "")
	if err := c.awaitEndpoint(r); err != nil {
		r.free()
		_ = resp.Body.Close()
		return nil, nil, err
	}
	return r, resp, nil
}

func (c *SSEClient) awaitEndpoint(r *eventReader) error {
	for {
		ev, err := r.next()
		if err != nil {
			return fmt.Errorf("waiting for the server's endpoint event: %w", err)
		}
		if ev.data == nil {
			continue
		}
		text := string(ev.data.b)
		ev.data.release()
		if ev.name != "endpoint" {
			continue
		}
		base, err := url.Parse(c.opts.URL)
		if err != nil {
			return err
		}
		ref, err := url.Parse(text)
		if err != nil {
			return errors.New("the server's endpoint event holds no address")
		}
		u := base.ResolveReference(ref)
		if u.Scheme != base.Scheme || u.Host != base.Host || u.User != nil {
			return fmt.Errorf("%w: %s://%s instead of %s://%s", ErrForeignEndpoint, u.Scheme, u.Host, base.Scheme, base.Host)
		}
		c.endpoint = u.String()
		return nil
	}
}

// read delivers the stream until it ends.
func (c *SSEClient) read(r *eventReader, resp *http.Response) {
	err := c.deliverAll(r)
	r.free()
	_ = resp.Body.Close()
	if errors.Is(err, io.EOF) {
		err = ErrStreamEnded
	} else {
		err = fmt.Errorf("%w: %w", ErrStreamEnded, err)
	}
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
	close(c.done)
}

func (c *SSEClient) deliverAll(r *eventReader) error {
	for {
		ev, err := r.next()
		if errors.Is(err, errEventTooLarge) {
			if err := c.tooLarge(ev); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if ev.data == nil {
			continue
		}
		if ev.name == "endpoint" {
			ev.data.release()
			return errors.New("the server changed its message address in the middle of the stream")
		}
		f, err := parseBuffer(ev.data)
		if err != nil {
			c.opts.Logger.Warn("a message from the server was dropped", "reason", err)
			continue
		}
		err = c.deliver(f)
		f.Release()
		if err != nil {
			return err
		}
	}
}

// tooLarge answers for a message above the cap. Where it can't be told whose
// answer it was, the session ends rather than one request waiting for ever.
func (c *SSEClient) tooLarge(ev event) error {
	bad := ev.large.tooLarge(c.opts.MaxMessage)
	c.opts.Logger.Warn("a message from the server was dropped", "reason", bad)
	switch {
	case ev.large.answers() && bad.ID == nil:
		return bad
	case ev.large.answers():
		return c.deliver(largeAnswer(bad.ID, bad))
	case bad.Request && bad.ID != nil:
		return c.post(c.life, bad.Answer(), nil)
	}
	return nil
}

func (c *SSEClient) deliver(f Frame) error {
	if f.Kind == Batch {
		members, errs := f.Split()
		for i, m := range members {
			if errs[i] == nil {
				if err := c.deliver(m); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if f.Kind != Response {
		return c.handOver(f)
	}
	call := c.take(f)
	if call == nil {
		c.opts.Logger.Warn("a response that nobody waits for was dropped")
		return nil
	}
	if f.ID.Null() {
		f = f.WithID(call.id)
	}
	if err := c.handOver(f); err != nil {
		return err
	}
	close(call.answered)
	return nil
}

func (c *SSEClient) handOver(f Frame) error {
	if err := c.opts.Deliver(c.life, f); err != nil {
		return &deliverError{err}
	}
	return nil
}

// take removes and returns the request that f answers. An error with a null id
// belongs to the only request in flight; with several it can't be told whose
// it is.
func (c *SSEClient) take(f Frame) *sseCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := f.ID.Key()
	if f.ID.Null() && len(c.pending) == 1 {
		for only := range c.pending {
			key = only
		}
	}
	call := c.pending[key]
	delete(c.pending, key)
	return call
}

// Exchange implements [Remote].
func (c *SSEClient) Exchange(ctx context.Context, f Frame) error {
	if f.Kind == Batch {
		return errors.New("wire: a batch is exchanged message by message")
	}
	if f.Kind != Request {
		return c.post(ctx, f, nil)
	}
	call := &sseCall{id: cloneID(f.ID), answered: make(chan struct{})}
	key := f.ID.Key()
	if !c.register(key, call) {
		return fmt.Errorf("a request with id %.100s is already in flight", key)
	}
	defer c.forget(key, call)
	answered := call.answered
	if err := c.post(ctx, f, answered); err != nil {
		return err
	}
	select {
	case <-answered:
		return nil
	case <-c.done:
		select {
		case <-answered:
			return nil
		default:
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return noAnswer(c.err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *SSEClient) register(key string, call *sseCall) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending[key] != nil {
		return false
	}
	c.pending[key] = call
	return true
}

func (c *SSEClient) forget(key string, call *sseCall) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending[key] == call {
		delete(c.pending, key)
	}
}

// post sends f. The response may come on the stream before the POST has ended:
// then the POST's own outcome doesn't matter any more.
func (c *SSEClient) post(ctx context.Context, f Frame, answered <-chan struct{}) error {
	select {
	case <-c.done:
		return fmt.Errorf("%w: %w", ErrSessionLost, ErrNotSent)
	default:
	}
	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, nil)
	if err != nil {
		return err
	}
	for name, values := range c.opts.Header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	if c.opts.Annotate != nil {
		c.opts.Annotate(f, req.Header)
	}
	setFrameBody(req, f)
	resp, err := c.opts.HTTP.Do(req)
	if err == nil && resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		discard(resp, cancel)
		return nil
	}
	if err == nil {
		err = statusError(resp, cancel)
	} else if err = sendError(ctx, err); ctx.Err() != nil && outer.Err() == nil {
		err = noAnswer(ErrStreamEnded) // the session was ended meanwhile
	}
	select {
	case <-answered: // nil for notifications: never ready
		return nil
	default:
	}
	var status *StatusError
	if errors.As(err, &status) && status.Status == http.StatusNotFound {
		return fmt.Errorf("%w: %w", ErrSessionLost, err)
	}
	return err
}

// Listen implements [Remote]: it waits for the stream's end.
func (c *SSEClient) Listen(ctx context.Context) error {
	select {
	case <-c.done:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// End implements [Remote]: it closes the stream, which is the session, and
// waits for its reader.
func (c *SSEClient) End(context.Context) error {
	c.stop()
	<-c.done
	return nil
}

var _, _ Remote = (*SSEClient)(nil), (*StreamableClient)(nil)
