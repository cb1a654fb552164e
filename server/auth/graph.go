package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of what Microsoft Graph may answer.
const (
	maxGraphPage  = 1 << 20
	maxGraphPages = 30 // of 999 groups
)

// GraphURL is the root of Microsoft Graph for a cloud, without a slash at the
// end. A root of another cloud is an error: the token would go to a stranger.
// With development, for an authority on this machine, only a loopback address
// is accepted, or the root is empty where none is given.
func GraphURL(cloud Cloud, development bool, root string) (string, error) {
	u, err := url.Parse(strings.TrimSuffix(root, "/"))
	if err != nil || root != "" && (u.Scheme != "https" || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "") {
		return "", errors.New("the Microsoft Graph URL must be https:// and a host, like https://graph.microsoft.com")
	}
	if development {
		if ip, err := netip.ParseAddr(u.Hostname()); root != "" && (err != nil || !ip.IsLoopback()) {
			return "", fmt.Errorf("with a development authority, Microsoft Graph has to be one on a loopback IP address too, not %s", u.Host)
		}
		return u.String(), nil
	}
	a, err := cloudAuthority(cloud)
	if err != nil {
		return "", err
	}
	switch {
	case root == "":
		return "https://" + a.cloud.graphs[0], nil
	case !slices.Contains(a.cloud.graphs, strings.ToLower(u.Host)):
		return "", fmt.Errorf("the Microsoft Graph of the %s cloud is at %s, not at %s", a.cloud.title, strings.Join(a.cloud.graphs, " or "), u.Host)
	}
	return "https://" + strings.ToLower(u.Host), nil
}

// graphClient asks Microsoft Graph with the server's own token.
type graphClient struct {
	root  string
	token func(ctx context.Context, tenant string) (string, error)
	http  *http.Client
	owned bool
}

// groups lists the object ids of all groups that the caller is in, directly or
// through other groups, as the groups claim would.
func (g graphClient) groups(ctx context.Context, of groupsKey) ([]string, error) {
	if g.root == "" {
		return nil, errors.New("no Microsoft Graph is configured for the development authority")
	}
	token, err := g.token(ctx, of.tenant)
	if err != nil {
		return nil, fmt.Errorf("getting a token for Microsoft Graph: %w", err)
	}
	kind := "users"
	if of.app {
		kind = "servicePrincipals"
	}
	// The cast to groups is an advanced query, which needs $count and the
	// header ConsistencyLevel (Microsoft Graph, "List transitiveMemberOf").
	next := g.root + "/v1.0/" + kind + "/" + of.object + "/transitiveMemberOf/microsoft.graph.group?$count=true&$select=id&$top=999"
	var ids []string
	for range maxGraphPages {
		page, err := g.page(ctx, next, token)
		if err != nil {
			return nil, err
		}
		for _, group := range page.Value {
			ids = append(ids, group.ID)
		}
		if next = page.Next; next == "" {
			return ids, nil
		}
		if !strings.HasPrefix(next, g.root+"/") { // the token goes along
			return nil, &graphError{status: http.StatusBadGateway, code: "its next page is on another host"}
		}
	}
	return nil, &graphError{status: http.StatusRequestEntityTooLarge, code: fmt.Sprintf("more than %d pages", maxGraphPages)}
}

type groupsPage struct {
	Value []struct {
		ID string `json:"id"`
	} `json:"value"`
	Next string `json:"@odata.nextLink"`
}

func (g graphClient) page(ctx context.Context, address, token string) (groupsPage, error) {
	var page groupsPage
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return page, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("ConsistencyLevel", "eventual")
	resp, err := g.http.Do(req)
	if err != nil {
		return page, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxGraphPage+1))
	switch {
	case err != nil:
		return page, fmt.Errorf("reading the answer of Microsoft Graph: %w", err)
	case resp.StatusCode != http.StatusOK:
		return page, newGraphError(resp, body)
	case len(body) > maxGraphPage || json.Unmarshal(body, &page) != nil || page.Value == nil:
		return page, &graphError{status: http.StatusBadGateway, code: "its answer is not the expected JSON"}
	}
	return page, nil
}

// graphError is an answer of Microsoft Graph that is no success.
type graphError struct {
	status int
	code   string // of the error, such as Authorization_RequestDenied
	wait   time.Duration
}

func newGraphError(resp *http.Response, body []byte) *graphError {
	var answer struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	_ = json.Unmarshal(body, &answer) // without a code the status has to do
	e := &graphError{status: resp.StatusCode, code: shorten(printable(answer.Error.Code))}
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
		e.wait = time.Duration(min(n, 3600)) * time.Second
	}
	return e
}

// Error implements error.
func (e *graphError) Error() string {
	if e.code == "" {
		return fmt.Sprintf("HTTP %d", e.status)
	}
	return fmt.Sprintf("HTTP %d, %s", e.status, e.code)
}

// RetryAfter is what the answer's header says.
func (e *graphError) RetryAfter() time.Duration { return e.wait }

// temporary reports failures that pass by themselves.
func (e *graphError) temporary() bool {
	return e.status >= 500 || e.status == http.StatusTooManyRequests || e.status == http.StatusRequestTimeout
}
