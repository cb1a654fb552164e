package builtin

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// Bounds of what one call may ask for.
const (
	maxQuantity = 10_000
	maxSteps    = 10_000
	maxDuration = 10 * time.Minute
)

type listing struct {
	Symbol   string `json:"symbol"`
	Name     string `json:"name" jsonschema:"company, invented"`
	Currency string `json:"currency"`
	URI      string `json:"uri" jsonschema:"resource with the quote; can be subscribed to"`
}

type order struct {
	OrderID   string  `json:"order_id"`
	Symbol    string  `json:"symbol"`
	Side      string  `json:"side"`
	Quantity  int     `json:"quantity"`
	Price     float64 `json:"price" jsonschema:"of one share"`
	Total     float64 `json:"total"`
	Currency  string  `json:"currency"`
	Status    string  `json:"status"`
	AsOf      string  `json:"as_of" jsonschema:"RFC 3339, to the second"`
	Simulated bool    `json:"simulated" jsonschema:"always true: nothing was traded"`
}

func (m *market) register(s *server.MCPServer) {
	s.AddTools(
		server.ServerTool{Tool: listSymbolsTool(), Handler: m.listSymbols},
		server.ServerTool{Tool: m.getQuoteTool(), Handler: m.getQuote},
		server.ServerTool{Tool: m.placeOrderTool(), Handler: m.placeOrder},
		server.ServerTool{Tool: m.runBacktestTool(), Handler: m.runBacktest},
	)
	m.registerResources(s)
	m.registerPrompt(s)
}

func (m *market) symbolArgument() mcp.ToolOption {
	return mcp.WithString("symbol", mcp.Required(), mcp.Enum(m.symbols()...), mcp.Description("Symbol of the sample market"))
}

type listings struct {
	Symbols   []listing `json:"symbols"`
	Simulated bool      `json:"simulated" jsonschema:"always true: sample data, no real market"`
}

func listSymbolsTool() mcp.Tool {
	return mcp.NewTool("list_symbols",
		mcp.WithToolTitle("List symbols"),
		mcp.WithDescription("Lists the symbols of the simulated market (sample data, invented companies)."),
		mcp.WithSchemaAdditionalProperties(false),
		output[listings](),
		readOnly("List symbols"))
}

func (m *market) listSymbols(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	list := listings{Symbols: []listing{}, Simulated: true}
	for _, c := range m.companies {
		list.Symbols = append(list.Symbols, listing{c.Symbol, c.Name, currency, quoteURI(c.Symbol)})
	}
	return structured(fmt.Sprintf("%d symbols in the simulated market.", len(list.Symbols)), list)
}

func (m *market) getQuoteTool() mcp.Tool {
	return mcp.NewTool("get_quote",
		mcp.WithToolTitle("Get quote"),
		mcp.WithDescription("Current price of a symbol of the simulated market (sample data). It changes every second."),
		m.symbolArgument(),
		mcp.WithSchemaAdditionalProperties(false),
		output[quote](),
		readOnly("Get quote"))
}

func (m *market) getQuote(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	c, err := m.company(request.GetString("symbol", ""))
	if err != nil {
		return mcp.NewToolResultError(err.Error()), nil
	}
	q := m.quote(c)
	return structured(q.String(), q)
}

func (q quote) String() string {
	return fmt.Sprintf("%s (%s): %.2f %s, %+.2f %% today, at %s. Simulated.", q.Symbol, q.Name, q.Last, q.Currency, q.ChangePercent, q.AsOf)
}

// placeOrderTool is annotated as what it plays, so that clients ask and
// policies decide as they would for a real one.
func (m *market) placeOrderTool() mcp.Tool {
	const title = "Place order"
	return mcp.NewTool("place_order",
		mcp.WithToolTitle(title),
		mcp.WithDescription("Buys or sells in the simulated market at the current price. Nothing is traded and nothing is kept."),
		m.symbolArgument(),
		mcp.WithString("side", mcp.Required(), mcp.Enum("buy", "sell"), mcp.Description("Buy or sell")),
		mcp.WithInteger("quantity", mcp.Required(), mcp.Min(1), mcp.Max(maxQuantity), mcp.Description("Number of shares")),
		mcp.WithSchemaAdditionalProperties(false),
		output[order](),
		mcp.WithToolAnnotation(mcp.ToolAnnotation{
			Title:           title,
			ReadOnlyHint:    mcp.ToBoolPtr(false),
			DestructiveHint: mcp.ToBoolPtr(true),
			IdempotentHint:  mcp.ToBoolPtr(false),
			OpenWorldHint:   mcp.ToBoolPtr(false),
		}))
}

func (m *market) placeOrder(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	c, err := m.company(request.GetString("symbol", ""))
	if err != nil {
		return mcp.NewToolResultError(err.Error()), nil
	}
	q := m.quote(c)
	o := order{
		OrderID: "SIM-" + rand.Text()[:10], Symbol: c.Symbol,
		Side: request.GetString("side", ""), Quantity: request.GetInt("quantity", 0),
		Price: q.Ask, Currency: currency, Status: "filled", AsOf: q.AsOf, Simulated: true,
	}
	if o.Side == "sell" {
		o.Price = q.Bid
	}
	o.Total = cents(o.Price * float64(o.Quantity))
	if err := sendLog(ctx, mcp.LoggingLevelNotice, "market", map[string]any{
		"message": "simulated order filled", "order_id": o.OrderID, "symbol": o.Symbol, "side": o.Side, "quantity": o.Quantity,
	}); err != nil {
		return nil, err
	}
	return structured(fmt.Sprintf("Simulated order %s: %s %d %s at %.2f %s. Nothing was traded.",
		o.OrderID, o.Side, o.Quantity, o.Symbol, o.Price, o.Currency), o)
}
