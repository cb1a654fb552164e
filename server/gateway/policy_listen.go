package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/policy"
)

// hearer is who is told of updates of resources.
type hearer struct {
	user   policy.User
	client policy.Client
}

// listen decides about a subscriptions/listen (MCP 2026-07-28,
// basic/patterns/subscriptions). Each resource in its filter is judged like one
// that is subscribed to. Those that are denied are taken out, so that the
// acknowledgement lacks them too. What then asks for nothing is denied as a whole.
func (d *decider) listen(ctx context.Context, rules *policy.Policy, f wire.Frame) error {
	filter, uris, err := listenedTo(wire.Lookup(f.Raw, "params"))
	if err != nil {
		return d.ambiguous(ctx, f, err)
	}
	who := d.caller(ctx)
	kept := make([]string, 0, len(uris))
	var denied []denial
	for _, uri := range uris {
		in := policy.Input{User: who.user, Client: who.client, Tool: d.resource(uri)}
		decision := rules.Decide(ctx, in)
		if !decision.Allowed {
			denied = append(denied, denial{in, decision})
			continue
		}
		if len(kept) == 0 {
			evidenceOf(ctx).decided(true, decision.Rule)
		}
		kept = append(kept, uri)
	}
	if len(denied) == 0 {
		return d.next.Exchange(ctx, f)
	}
	if len(kept) == 0 && !listensToLists(filter) {
		evidenceOf(ctx).decided(false, denied[0].decision.Rule)
		return d.refuse(ctx, f, denied[0].in, denied[0].decision)
	}
	// The request's own record waits until the client stops listening.
	if err := d.recordDenials(ctx, f, denied); err != nil {
		return d.deliver(ctx, withheld(f.ID))
	}
	evidenceOf(ctx).narrowTo(strings.Join(kept, " "))
	return d.next.Exchange(ctx, changed(f, set(marshal(kept), "params", "notifications", "resourceSubscriptions")))
}

// denial is one resource that may not be listened to.
type denial struct {
	in       policy.Input
	decision policy.Decision
}

// recordDenials leaves a record for each rule that denied something.
func (d *decider) recordDenials(ctx context.Context, f wire.Frame, denied []denial) error {
	if d.opts.Record == nil {
		return nil
	}
	var order []string
	targets := map[string][]string{}
	for _, one := range denied {
		rule := one.decision.Rule
		if targets[rule] == nil {
			order = append(order, rule)
		}
		targets[rule] = append(targets[rule], one.in.Tool.Name)
	}
	for _, rule := range order {
		evidence := &Evidence{}
		evidence.decided(false, rule)
		err := d.opts.Record(ctx, Record{Method: f.Method, Target: strings.Join(targets[rule], " "), Outcome: Denied, BytesIn: len(f.Raw), Evidence: evidence})
		if err != nil {
			return err
		}
	}
	return nil
}

// listenedTo returns the filter of a subscriptions/listen and the resources in it.
func listenedTo(params []byte) (filter []byte, uris []string, err error) {
	filter = wire.Lookup(params, "notifications")
	err = errors.Join(unambiguous(params, "notifications"), unambiguous(filter, "toolsListChanged", "promptsListChanged", "resourcesListChanged", "resourceSubscriptions"))
	if err != nil {
		return nil, nil, err
	}
	list := wire.Lookup(filter, "resourceSubscriptions")
	if string(list) == "null" {
		return filter, nil, nil
	}
	err = wire.Elements(list, func(element []byte) error {
		var uri string
		if element[0] != '"' || json.Unmarshal(element, &uri) != nil {
			return errors.New("resourceSubscriptions is not a list of addresses")
		}
		if len(uris) == maxSubscriptions {
			return fmt.Errorf("more than %d resources are too many for one subscription", maxSubscriptions)
		}
		uris = append(uris, uri)
		return nil
	})
	return filter, uris, err
}

// listensToLists reports whether a filter asks for more than single resources: for
// changes of lists, or for something that is not known here.
func listensToLists(filter []byte) bool {
	more := false
	_ = wire.Members(filter, func(name, value []byte) error {
		if v := string(value); string(name) != "resourceSubscriptions" && v != "false" && v != "null" {
			more = true
		}
		return nil
	})
	return more
}

func (d *decider) caller(ctx context.Context) (who hearer) {
	who.user, who.client = d.opts.Caller(ctx)
	return who
}

// noteListener remembers who listens under the id until done is called.
func (d *decider) noteListener(ctx context.Context, id wire.ID) (done func()) {
	key, who := id.Key(), d.caller(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listeners[key] = who
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.listeners, key)
	}
}

// noteSubscriber remembers who subscribes to resources one by one (MCP up to
// 2025-11-25): on a connection that has one client.
func (d *decider) noteSubscriber(ctx context.Context) {
	who := d.caller(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.subscriber, d.subscribed = who, true
}

// mayHear reports whether an update may go to the client. Upstreams tell of parts
// of what was subscribed to, and of what others have subscribed to, under other
// addresses than the one that was decided about.
func (d *decider) mayHear(ctx context.Context, update wire.Frame) bool {
	rules := d.opts.Policy()
	if rules == nil {
		return true
	}
	d.mu.Lock()
	who, known := d.listeners[wire.ID(wire.Lookup(update.Raw, "params", "_meta", metaSubscription)).Key()]
	if !known {
		who, known = d.subscriber, d.subscribed
	}
	d.mu.Unlock()
	uri := wire.LookupString(update.Raw, "params", "uri")
	return known && rules.Decide(ctx, policy.Input{User: who.user, Client: who.client, Tool: d.resource(uri)}).Allowed
}

// resource describes a resource to rules.
func (d *decider) resource(uri string) policy.Tool {
	t := d.describe(policy.KindResource, uri, nil)
	t.Annotations = policy.Annotations{ReadOnlyHint: true}
	return t
}
