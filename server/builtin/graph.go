package builtin

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// GraphOptions say how the graph tools reach Microsoft Graph.
type GraphOptions struct {
	// URL is the root of Microsoft Graph in the caller's cloud, such as
	// https://graph.microsoft.com.
	URL string
	// HTTP sends requests with a token on behalf of the caller whom the
	// request's context names. Required.
	HTTP http.RoundTripper
	// Explain puts an error of HTTP into words for the caller; "" where it has
	// none. nil has none.
	Explain func(err error) string
}

// graph is the tools that read from Microsoft Graph as the caller. What they
// show is what Graph shows that person, no more.
type graph struct {
	root    string
	http    http.RoundTripper
	explain func(error) string
	wait    func(time.Duration) <-chan time.Time
}

func newGraph(o GraphOptions) (*graph, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || o.HTTP == nil {
		return nil, errors.New("the built-in tools graph need the address of Microsoft Graph and a credential of this server to act on behalf of callers")
	}
	g := &graph{root: strings.TrimSuffix(o.URL, "/"), http: o.HTTP, explain: o.Explain, wait: time.After}
	if g.explain == nil {
		g.explain = func(error) string { return "" }
	}
	return g, nil
}

func (g *graph) register(s *server.MCPServer) {
	s.AddTools(
		server.ServerTool{Tool: userDetailsTool(), Handler: g.userDetails},
		server.ServerTool{Tool: managerTool(), Handler: g.manager},
		server.ServerTool{Tool: directReportsTool(), Handler: g.directReports},
		server.ServerTool{Tool: myGroupsTool(), Handler: g.myGroups},
		server.ServerTool{Tool: searchPeopleTool(), Handler: g.searchPeople},
	)
}

// readsGraph annotates a tool that changes nothing but asks another service.
func readsGraph(title string) mcp.ToolOption {
	return mcp.WithToolAnnotation(mcp.ToolAnnotation{
		Title:           title,
		ReadOnlyHint:    mcp.ToBoolPtr(true),
		DestructiveHint: mcp.ToBoolPtr(false),
		IdempotentHint:  mcp.ToBoolPtr(true),
		OpenWorldHint:   mcp.ToBoolPtr(true),
	})
}
