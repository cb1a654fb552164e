package builtin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds of what one tool call may cost.
const (
	maxGraphBody  = 1 << 20
	maxGraphPages = 10
	maxGraphWait  = 10 * time.Second // longer waits are the caller's to decide about
	graphTimeout  = 30 * time.Second // of one request
)

// graphFault is why Microsoft Graph gave nothing, in words for the caller.
type graphFault struct {
	status int // 0 if there was no answer
	text   string
}

func (f *graphFault) Error() string { return f.text }

// get reads one resource below /v1.0 into value. permission is the delegated
// one that it takes.
func (g *graph) get(ctx context.Context, path string, query url.Values, permission string, value any) error {
	return g.fetch(ctx, g.root+"/v1.0"+path+"?"+encodeQuery(query), permission, value)
}

// encodeQuery leaves the $ of OData options as Graph's documentation has it.
func encodeQuery(query url.Values) string {
	return strings.ReplaceAll(query.Encode(), "%24", "$")
}

// page is a list as Graph answers it.
type page[T any] struct {
	Value []T    `json:"value"`
	Next  string `json:"@odata.nextLink"`
}

// list reads at most limit members of a list; more reports that there are others.
func list[T any](ctx context.Context, g *graph, path string, query url.Values, permission string, limit int) (all []T, more bool, err error) {
	next := g.root + "/v1.0" + path + "?" + encodeQuery(query)
	for range maxGraphPages {
		var p page[T]
		if err := g.fetch(ctx, next, permission, &p); err != nil {
			return nil, false, err
		}
		all = append(all, p.Value...)
		if len(all) > limit {
			return all[:limit], true, nil
		}
		if p.Next == "" {
			return all, false, nil
		}
		if !strings.HasPrefix(p.Next, g.root+"/v1.0/") {
			return nil, false, &graphFault{text: "Microsoft Graph's answer continues at another host, which is not followed."}
		}
		next = p.Next
	}
	return all, true, nil
}

func (g *graph) fetch(ctx context.Context, address, permission string, value any) error {
	for attempt := 0; ; attempt++ {
		a, err := g.once(ctx, address)
		if err != nil {
			return err
		}
		wait, throttled := a.throttling()
		switch {
		case a.status == http.StatusOK:
			if err := json.Unmarshal(a.body, value); err != nil {
				return &graphFault{status: a.status, text: "Microsoft Graph's answer could not be read."}
			}
			return nil
		case throttled && attempt == 0 && wait <= maxGraphWait:
			select {
			case <-g.wait(wait):
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		case throttled:
			return &graphFault{a.status, fmt.Sprintf("Microsoft Graph asks to slow down. Try again in %d s.", int64(wait/time.Second))}
		}
		return refusedBy(a.status, a.body, permission)
	}
}

// graphAnswer is a whole answer.
type graphAnswer struct {
	status     int
	retryAfter string
	body       []byte
}

// throttling reports an answer that asks to come back later (Microsoft Graph,
// "Throttling guidance"), and when.
func (a graphAnswer) throttling() (time.Duration, bool) {
	if a.status != http.StatusTooManyRequests && a.status != http.StatusServiceUnavailable {
		return 0, false
	}
	seconds, err := strconv.Atoi(a.retryAfter)
	if err != nil || seconds < 1 {
		seconds = 1
	}
	return time.Duration(min(seconds, 3600)) * time.Second, true
}

func (g *graph) once(ctx context.Context, address string) (graphAnswer, error) {
	limited, cancel := context.WithTimeout(ctx, graphTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodGet, address, nil)
	if err != nil {
		return graphAnswer{}, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := g.http.RoundTrip(req)
	if err != nil {
		return graphAnswer{}, g.unreached(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxGraphBody+1))
	switch {
	case err != nil:
		return graphAnswer{}, g.unreached(ctx, err)
	case len(body) > maxGraphBody:
		return graphAnswer{}, &graphFault{resp.StatusCode, "Microsoft Graph's answer is too large."}
	}
	return graphAnswer{resp.StatusCode, resp.Header.Get("Retry-After"), body}, nil
}

func (g *graph) unreached(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if text := g.explain(err); text != "" {
		return &graphFault{text: text}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &graphFault{text: "Microsoft Graph did not answer in time. Try again later."}
	}
	return &graphFault{text: "Microsoft Graph could not be reached. Try again later."}
}

// refusedBy puts an error answer into words. Graph's own message stays out: it
// may name what the caller may not know.
func refusedBy(status int, body []byte, permission string) *graphFault {
	var answer struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	_ = json.Unmarshal(body, &answer) // without a code the status has to do
	code := answer.Error.Code
	if len(code) > 80 {
		code = code[:80]
	}
	about := fmt.Sprintf("HTTP %d", status)
	if code != "" {
		about += fmt.Sprintf(", %q", code)
	}
	f := &graphFault{status: status}
	switch {
	case status == http.StatusUnauthorized:
		f.text = "Microsoft Graph does not accept the token that it got on your behalf (" + about + "). Sign in again."
	case status == http.StatusForbidden:
		f.text = "Microsoft Graph does not let you or this server do that (" + about + "). It takes the delegated permission " + permission +
			": an administrator can grant it to this server's application."
	case status == http.StatusNotFound:
		f.text = "Microsoft Graph has nothing there (" + about + ")."
	case status >= http.StatusInternalServerError:
		f.text = "Microsoft Graph is failing (" + about + "). Try again later."
	default:
		f.text = "Microsoft Graph refused the request (" + about + ")."
	}
	return f
}
