package builtin

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"strings"
	"time"
)

// company is a listing of the simulated market.
type company struct {
	Symbol string
	Name   string
	base   float64 // the price that the simulation moves around
}

// companies are invented, in the order that lists show them.
func companies() []company {
	return []company{
		{"ADVW", "Adventure Works", 61.35},
		{"CTSO", "Contoso", 184.20},
		{"FBKM", "Fabrikam", 97.80},
		{"LITW", "Litware", 23.15},
		{"NWTR", "Northwind Traders", 142.60},
		{"TAIL", "Tailspin Toys", 38.90},
		{"WING", "Wingtip Toys", 12.45},
		{"WOOD", "Woodgrove Bank", 310.75},
	}
}

// quote is the price of a symbol at one second.
type quote struct {
	Symbol        string  `json:"symbol"`
	Name          string  `json:"name" jsonschema:"company, invented"`
	Currency      string  `json:"currency"`
	Last          float64 `json:"last" jsonschema:"last price"`
	Bid           float64 `json:"bid" jsonschema:"best price offered by a buyer"`
	Ask           float64 `json:"ask" jsonschema:"best price asked by a seller"`
	ChangePercent float64 `json:"change_percent" jsonschema:"against the price at 00:00 UTC"`
	AsOf          string  `json:"as_of" jsonschema:"RFC 3339, to the second"`
	Simulated     bool    `json:"simulated" jsonschema:"always true: sample data, no real market"`
}

const currency = "USD"

// market is a simulation. It keeps no state: a price is a function of seed,
// symbol and second, so that every replica shows the same one. It is safe for
// use by several goroutines.
type market struct {
	seed      uint64
	now       func() time.Time
	companies []company
}

func newMarket(seed uint64, now func() time.Time) *market {
	return &market{seed: seed, now: now, companies: companies()}
}

func (m *market) symbols() []string {
	names := make([]string, len(m.companies))
	for i, c := range m.companies {
		names[i] = c.Symbol
	}
	return names
}

func (m *market) company(symbol string) (company, error) {
	for _, c := range m.companies {
		if c.Symbol == symbol {
			return c, nil
		}
	}
	return company{}, fmt.Errorf("no symbol %q in the sample market: choose from %s", symbol, strings.Join(m.symbols(), ", "))
}

func (m *market) quote(c company) quote {
	now := m.now().UTC().Truncate(time.Second)
	last := m.price(c, now)
	open := m.price(c, now.Truncate(24*time.Hour))
	spread := math.Max(0.01, cents(last*0.0002))
	return quote{
		Symbol: c.Symbol, Name: c.Name, Currency: currency,
		Last: last, Bid: cents(last - spread), Ask: cents(last + spread),
		ChangePercent: cents((last/open - 1) * 100),
		AsOf:          now.Format(time.RFC3339),
		Simulated:     true,
	}
}

// price adds three waves (an hour, seven minutes, a minute) and noise to the
// base price; it stays within 5 % of it.
func (m *market) price(c company, t time.Time) float64 {
	second := t.Unix()
	wave := func(name string, period, weight float64) float64 {
		phase := m.noise(c.Symbol+name, 0)
		// The remainder keeps the argument small, where Sin is exact everywhere.
		return weight * math.Sin(math.Pi*(2*math.Mod(float64(second), period)/period+phase))
	}
	move := wave("hour", 3600, 0.03) + wave("minutes", 420, 0.012) + wave("minute", 61, 0.004)
	return cents(c.base * (1 + move + 0.0015*m.noise(c.Symbol, second)))
}

// noise is a number in [-1, 1) that depends on the seed, name and n only.
func (m *market) noise(name string, n int64) float64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s/%d", m.seed, name, n)
	// FNV leaves neighbours close together; one round of splitmix64 parts them.
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return float64(x>>11)/(1<<52) - 1
}

func cents(x float64) float64 { return math.Round(x*100) / 100 }

// watch calls changed for each uri at every second until ctx ends or changed
// fails. A reader that is late by seconds hears once of what changed meanwhile:
// an update says "read it again", not what it was.
func (m *market) watch(ctx context.Context, uris []string, changed func(uri string) error) {
	const least = 100 * time.Millisecond // a timer may fire before its second
	for {
		now := m.now()
		wait := now.Truncate(time.Second).Add(time.Second).Sub(now)
		if wait < least {
			wait += time.Second
		}
		if sleep(ctx, wait) != nil {
			return
		}
		for _, uri := range uris {
			if changed(uri) != nil {
				return
			}
		}
	}
}

// sleep waits for d, or until ctx ends: then it returns the reason.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
