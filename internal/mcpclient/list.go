package mcpclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// List is a request for one of the server's lists.
type List string

// The lists of a server.
const (
	Tools             List = "tools"
	Resources         List = "resources"
	ResourceTemplates List = "resourceTemplates"
	Prompts           List = "prompts"
)

// Bounds of a list: a server could go on for ever.
const (
	maxPages = 1000
	maxItems = 100_000
)

var errEndless = errors.New("the server's list does not end")

// All returns the items of a list as they came, page by page. An error is the
// last of the sequence.
func (s *Session) All(ctx context.Context, list List) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		seen := map[mcp.Cursor]bool{}
		var cursor mcp.Cursor
		items := 0
		for range maxPages {
			page, next, err := s.page(ctx, list, cursor)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, item := range page {
				if items++; items > maxItems {
					yield(nil, fmt.Errorf("%w: more than %d %s", errEndless, maxItems, list))
					return
				}
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			if seen[next] {
				yield(nil, fmt.Errorf("%w: the cursor %.100q came twice", errEndless, next))
				return
			}
			seen[next] = true
			cursor = next
		}
		yield(nil, fmt.Errorf("%w: more than %d pages of %s", errEndless, maxPages, list))
	}
}

func (s *Session) page(ctx context.Context, list List, cursor mcp.Cursor) ([]json.RawMessage, mcp.Cursor, error) {
	from := mcp.PaginatedRequest{Params: mcp.PaginatedParams{Cursor: cursor}}
	result, err := s.ask(ctx, func(ctx context.Context) (err error) {
		switch list {
		case Tools:
			_, err = s.client.ListToolsByPage(ctx, mcp.ListToolsRequest{PaginatedRequest: from})
		case Resources:
			_, err = s.client.ListResourcesByPage(ctx, mcp.ListResourcesRequest{PaginatedRequest: from})
		case ResourceTemplates:
			_, err = s.client.ListResourceTemplatesByPage(ctx, mcp.ListResourceTemplatesRequest{PaginatedRequest: from})
		case Prompts:
			_, err = s.client.ListPromptsByPage(ctx, mcp.ListPromptsRequest{PaginatedRequest: from})
		default:
			return fmt.Errorf("mcpclient: no list is called %q", list)
		}
		return err
	})
	if err != nil {
		return nil, "", err
	}
	var items []json.RawMessage
	if raw := wire.Lookup(result, string(list)); raw != nil {
		if err := json.Unmarshal(raw, &items); err != nil {
			return nil, "", fmt.Errorf("reading the server's %s: %w", list, err)
		}
	}
	return items, mcp.Cursor(wire.LookupString(result, "nextCursor")), nil
}
