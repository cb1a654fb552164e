package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// demoQuote is the resource that the demo watches.
const demoQuote = "market://quotes/ADVW"

// watchQuotes subscribes to a quote and reads it each time it has changed.
func (d *demo) watchQuotes(ctx context.Context) error {
	d.head("Subscribe to a quote: three updates arrive over the event stream")
	params := map[string]any{"uri": demoQuote}
	if _, err := d.client.call(ctx, "resources/subscribe", params); err != nil {
		return err
	}
	for range 3 {
		uri, err := d.client.nextUpdate(ctx)
		if err != nil {
			return err
		}
		result, err := d.client.call(ctx, "resources/read", map[string]any{"uri": uri})
		if err != nil {
			return err
		}
		var read struct{ Contents []struct{ Text string } }
		if err := json.Unmarshal(result, &read); err != nil || len(read.Contents) == 0 {
			return fmt.Errorf("reading the quote: %w", err)
		}
		d.say(strings.Join(strings.Fields(read.Contents[0].Text), " "))
	}
	_, err := d.client.call(ctx, "resources/unsubscribe", params)
	return err
}
