package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// exchange reads the streams that belong to one message: the POST's own and
// those that resume it. A listening exchange has no message of its own.
type exchange struct {
	client     *StreamableClient
	ctx        context.Context
	cancel     context.CancelFunc
	pending    ID // of the request, nil when there is none
	initialize bool
	listening  bool

	answered bool
	received int // events
	lastID   string
	session  string        // that lastID belongs to
	retry    time.Duration // what the server asked for
}

// run reads the successful answer to a POST until the response was delivered.
func (x *exchange) run(resp *http.Response) error {
	switch contentType(resp.Header) {
	case "text/event-stream":
		err := x.events(resp)
		if x.answered || x.ctx.Err() != nil {
			return x.finish(nil)
		}
		if isDeliverError(err) {
			return x.finish(err)
		}
		if x.lastID == "" {
			return x.finish(noAnswer(err))
		}
		return x.finish(x.resume(err))
	case "application/json":
		return x.finish(x.document(resp))
	}
	defer discard(resp, x.cancel)
	if x.pending == nil {
		return x.finish(nil)
	}
	if t := resp.Header.Get("Content-Type"); t != "" {
		return x.finish(&ContentError{Status: resp.StatusCode, Type: t})
	}
	return x.finish(fmt.Errorf("%w (HTTP %d without a body)", ErrNoAnswer, resp.StatusCode))
}

func (x *exchange) finish(err error) error {
	if x.answered {
		return nil // cancel belongs to the goroutine that reads on, or has run
	}
	ctxErr := x.ctx.Err()
	x.cancel()
	if err == nil && x.pending != nil {
		if ctxErr != nil {
			return ctxErr
		}
		return ErrNoAnswer
	}
	return err
}

func noAnswer(cause error) error {
	if cause == nil {
		return ErrNoAnswer
	}
	return fmt.Errorf("%w: %w", ErrNoAnswer, cause)
}

// document reads a JSON body: one message, or a batch (2025-03-26).
func (x *exchange) document(resp *http.Response) error {
	defer resp.Body.Close()
	buf, err := readBody(resp.Body, resp.ContentLength, x.client.opts.MaxMessage)
	if errors.Is(err, errTooLarge) {
		return fmt.Errorf("%w (limit %d bytes)", errTooLarge, x.client.opts.MaxMessage)
	}
	if err != nil {
		return noAnswer(err)
	}
	f, err := parseBuffer(buf)
	if err != nil {
		return noAnswer(fmt.Errorf("its body is no JSON-RPC message: %w", err))
	}
	defer f.Release()
	err = x.messages(f)
	if x.answered {
		x.cancel()
	}
	return err
}

// messages delivers one frame or the members of a batch.
func (x *exchange) messages(f Frame) error {
	if f.Kind != Batch {
		return x.message(f)
	}
	members, errs := f.Split()
	for i, m := range members {
		if errs[i] != nil {
			x.client.opts.Logger.Warn("a message from the server was dropped", "reason", errs[i])
			continue
		}
		if err := x.message(m); err != nil {
			return err
		}
	}
	return nil
}

// message delivers one message. A response must be the one that this exchange
// waits for; one with a null id is taken for it (servers that fail before they
// have read the id answer so).
func (x *exchange) message(f Frame) error {
	if f.Kind == Response && !x.listening {
		switch {
		case x.pending == nil || x.answered:
			x.client.opts.Logger.Warn("a response that nobody waits for was dropped")
			return nil
		case f.ID.Null():
			f = f.WithID(x.pending)
		case f.ID.Key() != x.pending.Key():
			x.client.opts.Logger.Warn("a response to another request was dropped")
			return nil
		}
		if x.initialize && !f.Failed {
			x.client.setProtocol(LookupString(f.Raw, "result", "protocolVersion"))
		}
	}
	if err := x.client.opts.Deliver(x.ctx, f); err != nil {
		return &deliverError{err}
	}
	if f.Kind == Response && x.pending != nil {
		x.answered = true
	}
	return nil
}

// deliverError marks an error of the receiving side: there is no use in
// reading on.
type deliverError struct{ err error }

func (e *deliverError) Error() string { return "delivering a message: " + e.err.Error() }
func (e *deliverError) Unwrap() error { return e.err }

func isDeliverError(err error) bool {
	var d *deliverError
	return errors.As(err, &d)
}

// events reads an event stream until it ends, breaks, or the response has been
// delivered; then the rest is read in the background and nil returned.
func (x *exchange) events(resp *http.Response) error {
	r := newEventReader(resp.Body, x.client.opts.MaxMessage, x.lastID)
	err := x.readEvents(r)
	if x.answered && err == nil {
		x.client.wg.Go(func() {
			defer x.cancel()
			defer r.free()
			defer resp.Body.Close()
			defer time.AfterFunc(drainAfterAnswer, x.cancel).Stop()
			defer context.AfterFunc(x.client.life, x.cancel)()
			_ = x.readRest(r)
		})
		return nil
	}
	r.free()
	_ = resp.Body.Close()
	return err
}

func (x *exchange) readEvents(r *eventReader) error {
	for !x.answered {
		if err := x.oneEvent(r); err != nil {
			return err
		}
	}
	return nil
}

func (x *exchange) readRest(r *eventReader) error {
	for {
		if err := x.oneEvent(r); err != nil {
			return err
		}
	}
}

func (x *exchange) oneEvent(r *eventReader) error {
	ev, err := r.next()
	x.lastID = r.lastID
	if errors.Is(err, errEventTooLarge) {
		return x.tooLarge(ev)
	}
	if err != nil {
		return err
	}
	x.received++
	if ev.retry > 0 {
		x.retry = ev.retry
	}
	if ev.data == nil {
		return nil // priming event (2025-11-25) or a bare id
	}
	if ev.name != "" && ev.name != "message" {
		ev.data.release()
		return nil
	}
	f, err := parseBuffer(ev.data)
	if err != nil {
		x.client.opts.Logger.Warn("a message from the server was dropped", "reason", err)
		return nil
	}
	defer f.Release()
	return x.messages(f)
}

// tooLarge answers for a message above the cap: to the client where it was the
// response, to the server where it was a request.
func (x *exchange) tooLarge(ev event) error {
	bad := ev.large.tooLarge(x.client.opts.MaxMessage)
	x.client.opts.Logger.Warn("a message from the server was dropped", "reason", bad)
	switch {
	case ev.large.answers():
		if x.pending == nil || x.answered { // with its answer the request's bytes are gone
			return nil
		}
		return x.message(largeAnswer(x.pending, bad))
	case bad.Request && bad.ID != nil:
		return x.client.Exchange(x.ctx, bad.Answer())
	}
	return nil
}

// largeAnswer stands in for a response above the size cap.
func largeAnswer(id ID, bad *FrameError) Frame {
	return NewError(id, CodeInternal, "The server's answer can't be passed on: "+bad.Reason, nil)
}

// answers reports that the message is a response.
func (s *skim) answers() bool { return s.env.result != nil || s.env.failure != nil }

// resume opens the stream again by GET (basic/transports, Resumability) until
// the response has come, the server refuses, or attempts run out. A server may
// hang up and be polled (2025-11-25), so only failures count as attempts, but
// polling without result slows down. The cause is why the stream before ended.
func (x *exchange) resume(cause error) error {
	c := x.client
	wait := backoff{first: c.opts.RetryWait, longest: c.opts.MaxRetryWait}
	failures := 0
	for first := x.listening; ; first = false {
		if !first {
			pause := x.retry
			if pause <= 0 || wait.failed > 0 {
				pause = max(pause, wait.next())
			} else {
				wait.failed++
			}
			if err := sleep(x.ctx, min(pause, time.Minute)); err != nil {
				return err
			}
		}
		before := x.received
		err := x.get()
		switch {
		case x.answered:
			return nil
		case x.ctx.Err() != nil:
			return x.ctx.Err()
		case isDeliverError(err):
			return err
		}
		if x.received != before {
			wait.reset()
		}
		if err == nil || x.received != before {
			failures = 0
			continue
		}
		if errors.Is(err, errSessionReplaced) {
			return notResumed(cause, err)
		}
		failures++
		c.opts.Logger.Debug("opening the stream failed", "attempt", failures, "reason", err)
		var status *StatusError
		if errors.As(err, &status) && !temporary(status.Status) {
			if x.listening {
				return listenError(status)
			}
			return notResumed(cause, err)
		}
		if !x.listening && failures >= c.opts.Attempts {
			return notResumed(cause, err)
		}
	}
}

// notResumed is the end of a request whose stream broke, because of cause, and
// could not be opened again. That the attempt did not reach the server, or found
// no session there, must not be taken for the request's own fate: the server has
// accepted that.
func notResumed(cause, err error) error {
	if errors.Is(err, ErrNotSent) || errors.Is(err, ErrSessionLost) {
		err = errors.New(err.Error())
	}
	return noAnswer(fmt.Errorf("%w; opening its stream again: %w", cause, err))
}

var errSessionReplaced = errors.New("its session was replaced by another")

func temporary(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500 && status != http.StatusNotImplemented
}

func listenError(status *StatusError) error {
	switch status.Status {
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return ErrNoListen
	case http.StatusNotFound:
		return fmt.Errorf("%w: %w", ErrSessionLost, status)
	}
	return status
}

// get opens one GET stream and reads it to its end. A nil error means that the
// server ended it in order.
func (x *exchange) get() error {
	req, session, err := x.client.request(x.ctx, http.MethodGet, nil)
	if err != nil {
		return err
	}
	if x.lastID != "" && session != x.session {
		// Event ids mean nothing to another session, or something else.
		if !x.listening {
			return errSessionReplaced
		}
		x.lastID = ""
	}
	x.session = session
	req.Header.Set("Accept", "text/event-stream")
	if x.lastID != "" {
		req.Header.Set(headerLastID, x.lastID)
	}
	resp, err := x.client.opts.HTTP.Do(req)
	if err != nil {
		return sendError(x.ctx, err)
	}
	if resp.StatusCode != http.StatusOK || contentType(resp.Header) != "text/event-stream" {
		if resp.StatusCode == http.StatusOK {
			resp.StatusCode = http.StatusMethodNotAllowed // a page, not a stream
		}
		return statusError(resp, x.cancel)
	}
	err = x.events(resp)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
