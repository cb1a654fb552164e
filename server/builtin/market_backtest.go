package builtin

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// backtest is what run_backtest answers. The same seed, symbol and steps give
// the same numbers.
type backtest struct {
	Symbol             string  `json:"symbol"`
	Steps              int     `json:"steps" jsonschema:"simulated minutes"`
	Trades             int     `json:"trades"`
	ReturnPercent      float64 `json:"return_percent"`
	BuyAndHoldPercent  float64 `json:"buy_and_hold_percent"`
	MaxDrawdownPercent float64 `json:"max_drawdown_percent" jsonschema:"deepest fall from a peak"`
	Simulated          bool    `json:"simulated" jsonschema:"always true: sample data, no real market"`
}

func (m *market) runBacktestTool() mcp.Tool {
	return mcp.NewTool("run_backtest",
		mcp.WithToolTitle("Run backtest"),
		mcp.WithDescription("Plays a moving-average strategy over the simulated market, one step a minute. "+
			"Reports progress after each step and stops when cancelled."),
		m.symbolArgument(),
		mcp.WithInteger("steps", mcp.Required(), mcp.Min(1), mcp.Max(maxSteps), mcp.Description("Number of steps")),
		mcp.WithInteger("duration_ms", mcp.Min(0), mcp.Max(float64(maxDuration.Milliseconds())), mcp.DefaultNumber(0),
			mcp.Description("How long to take in milliseconds; 0 is as fast as the client reads")),
		mcp.WithSchemaAdditionalProperties(false),
		output[backtest](),
		readOnly("Run backtest"))
}

func (m *market) runBacktest(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	c, err := m.company(request.GetString("symbol", ""))
	if err != nil {
		return mcp.NewToolResultError(err.Error()), nil
	}
	steps := request.GetInt("steps", 0)
	duration := time.Duration(request.GetInt("duration_ms", 0)) * time.Millisecond

	if err := sendLog(ctx, mcp.LoggingLevelInfo, "market", fmt.Sprintf("backtest of %s started: %d steps", c.Symbol, steps)); err != nil {
		return nil, err
	}
	start := time.Now()
	run := newStrategy(m, c)
	for i := range steps {
		// Due times, not pauses: what the reader costs is not added.
		due := start.Add(duration * time.Duration(i+1) / time.Duration(steps))
		if err := sleep(ctx, time.Until(due)); err != nil {
			return nil, err
		}
		run.step(i)
		if err := sendProgress(ctx, i+1, steps, fmt.Sprintf("step %d of %d", i+1, steps)); err != nil {
			return nil, err
		}
	}
	if err := sendLog(ctx, mcp.LoggingLevelInfo, "market", fmt.Sprintf("backtest of %s finished", c.Symbol)); err != nil {
		return nil, err
	}
	result := run.result(steps)
	return structured(fmt.Sprintf("Backtest of %s over %d simulated minutes: %+.2f %% in %d trades, %+.2f %% for buying and holding.",
		c.Symbol, steps, result.ReturnPercent, result.Trades, result.BuyAndHoldPercent), result)
}

// strategy holds a share while its price is above the mean of the last minutes.
type strategy struct {
	market  *market
	company company
	window  []float64
	holding bool
	trades  int
	worth   float64 // 1 at the start
	peak    float64
	fall    float64 // deepest, as a fraction of the peak
	first   float64
	last    float64
}

const meanOver = 15 // steps

func newStrategy(m *market, c company) *strategy {
	return &strategy{market: m, company: c, worth: 1, peak: 1}
}

func (s *strategy) step(i int) {
	epoch := time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC)
	price := s.market.price(s.company, epoch.Add(time.Duration(i)*time.Minute))
	if i == 0 {
		s.first, s.last = price, price
	}
	if s.holding {
		s.worth *= price / s.last
	}
	s.last = price
	s.peak = math.Max(s.peak, s.worth)
	s.fall = math.Max(s.fall, 1-s.worth/s.peak)

	s.window = append(s.window, price)
	if len(s.window) > meanOver {
		s.window = s.window[1:]
	}
	var sum float64
	for _, p := range s.window {
		sum += p
	}
	if hold := price > sum/float64(len(s.window)); hold != s.holding {
		s.holding = hold
		s.trades++
	}
}

func (s *strategy) result(steps int) backtest {
	return backtest{
		Symbol: s.company.Symbol, Steps: steps, Trades: s.trades,
		ReturnPercent:      cents((s.worth - 1) * 100),
		BuyAndHoldPercent:  cents((s.last/s.first - 1) * 100),
		MaxDrawdownPercent: cents(s.fall * 100),
		Simulated:          true,
	}
}
