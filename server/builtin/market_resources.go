package builtin

import (
	"context"
	"fmt"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

const (
	quotePrefix = "market://quotes/"
	jsonType    = "application/json"
)

func quoteURI(symbol string) string { return quotePrefix + symbol }

// symbolOf returns the company whose quote a resource is.
func (m *market) symbolOf(uri string) (company, error) {
	symbol, ok := strings.CutPrefix(uri, quotePrefix)
	if !ok {
		return company{}, fmt.Errorf("no resource %q: quotes are at %s{symbol}", uri, quotePrefix)
	}
	return m.company(symbol)
}

func (m *market) registerResources(s *server.MCPServer) {
	for _, c := range m.companies {
		s.AddResource(mcp.NewResource(quoteURI(c.Symbol), c.Symbol,
			mcp.WithResourceTitle(c.Name+" quote"),
			mcp.WithResourceDescription("Simulated price of "+c.Name+" (sample data). Changes every second; can be subscribed to."),
			mcp.WithMIMEType(jsonType)), m.readQuote)
	}
	s.AddResourceTemplate(mcp.NewResourceTemplate(quoteURI("{symbol}"), "quote",
		mcp.WithTemplateTitle("Quote by symbol"),
		mcp.WithTemplateDescription("Simulated price of a symbol (sample data). Symbols: "+strings.Join(m.symbols(), ", ")),
		mcp.WithTemplateMIMEType(jsonType)), m.readQuote)
}

func (m *market) readQuote(ctx context.Context, request mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
	c, err := m.symbolOf(request.Params.URI)
	if err != nil {
		// MCP 2026-07-28 dropped the code of its own for this.
		code := mcp.RESOURCE_NOT_FOUND
		if server.IsModernRequest(ctx) {
			code = mcp.INVALID_PARAMS
		}
		return nil, failWith(ctx, code, err)
	}
	contents, err := m.quoteContents(c)
	if err != nil {
		return nil, err
	}
	return []mcp.ResourceContents{contents}, nil
}

func (m *market) quoteContents(c company) (mcp.TextResourceContents, error) {
	raw, err := marshal(m.quote(c))
	if err != nil {
		return mcp.TextResourceContents{}, fmt.Errorf("encoding quote: %w", err)
	}
	return mcp.TextResourceContents{URI: quoteURI(c.Symbol), MIMEType: jsonType, Text: string(raw)}, nil
}

func (m *market) registerPrompt(s *server.MCPServer) {
	prompt := mcp.NewPrompt("explain_quote",
		mcp.WithPromptTitle("Explain a quote"),
		mcp.WithPromptDescription("Asks for an explanation of a symbol's simulated price in plain words."),
		mcp.WithArgument("symbol", mcp.RequiredArgument(),
			mcp.ArgumentDescription("One of "+strings.Join(m.symbols(), ", "))))
	s.AddPrompt(prompt, func(ctx context.Context, request mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		c, err := m.company(request.Params.Arguments["symbol"])
		if err != nil {
			return nil, failWith(ctx, mcp.INVALID_PARAMS, err)
		}
		contents, err := m.quoteContents(c)
		if err != nil {
			return nil, err
		}
		question := fmt.Sprintf("Explain this quote of %s (%s) to somebody who has never bought a share. "+
			"Say that it is simulated sample data and no basis for a decision.", c.Name, c.Symbol)
		return mcp.NewGetPromptResult("A simulated quote and a question about it", []mcp.PromptMessage{
			mcp.NewPromptMessage(mcp.RoleUser, mcp.NewTextContent(question)),
			mcp.NewPromptMessage(mcp.RoleUser, mcp.NewEmbeddedResource(contents)),
		}), nil
	})
}
