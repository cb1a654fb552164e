package server

import (
	"fmt"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/mcpctl/mcpctl/server/gateway"
	"github.com/mcpctl/mcpctl/server/policy"
)

// PolicyRule is one rule about who may use what: see policy.Rule.
type PolicyRule struct {
	Name   string   `yaml:"name"`
	Allow  string   `yaml:"allow"`
	Deny   string   `yaml:"deny"`
	Scopes []string `yaml:"scopes"`
}

// ToolLimit bounds the calls of one tool, by the name that clients see.
type ToolLimit struct {
	Tool               string `yaml:"tool"`
	RequestsPerMinute  int    `yaml:"requests_per_minute"` // of each user
	ConcurrentRequests int    `yaml:"concurrent_requests"` // of all users
}

// CacheRule makes results be kept: see gateway.CacheRule.
type CacheRule struct {
	Tool     string        `yaml:"tool"`
	Resource string        `yaml:"resource"`
	TTL      time.Duration `yaml:"ttl"`
	Public   bool          `yaml:"public"`
}

func (c Config) rules() []policy.Rule {
	rules := make([]policy.Rule, len(c.Policy))
	for i, r := range c.Policy {
		rules[i] = policy.Rule{Name: r.Name, Allow: r.Allow, Deny: r.Deny, Scopes: r.Scopes}
	}
	return rules
}

// limitOptions are the limits as the gateway applies them.
func (c Config) limitOptions() gateway.LimitOptions {
	var o gateway.LimitOptions
	o.User = gateway.Rate{PerMinute: c.Limits.RequestsPerMinute, Burst: c.Limits.Burst}
	o.Concurrent.User = c.Limits.ConcurrentRequests
	o.Tool, o.Concurrent.Tool = map[string]gateway.Rate{}, map[string]int{}
	for _, t := range c.Limits.Tools {
		o.Tool[t.Tool] = gateway.Rate{PerMinute: t.RequestsPerMinute}
		o.Concurrent.Tool[t.Tool] = t.ConcurrentRequests
	}
	o.Upstream, o.Concurrent.Upstream = map[string]gateway.Rate{}, map[string]int{}
	for _, up := range c.Upstreams {
		o.Upstream[up.Name] = gateway.Rate{PerMinute: up.RequestsPerMinute}
		o.Concurrent.Upstream[up.Name] = up.ConcurrentRequests
	}
	return o
}

func (c Config) cacheRules() []gateway.CacheRule {
	rules := make([]gateway.CacheRule, len(c.Cache))
	for i, r := range c.Cache {
		rules[i] = gateway.CacheRule{Tool: r.Tool, Resource: r.Resource, TTL: r.TTL, Public: r.Public}
	}
	return rules
}

// policy reads the rules and compiles each, so that a misspelt field has a line.
func (r *configReader) policy(key string, n ast.Node) {
	r.items(key, n, func(full string, item ast.Node) {
		before := len(r.faults)
		var rule PolicyRule
		r.mapping(full, item, []field{
			{"name", r.string(&rule.Name, checkName)},
			{"allow", r.string(&rule.Allow, anyText)},
			{"deny", r.string(&rule.Deny, anyText)},
			{"scopes", r.strings(&rule.Scopes, checkName)},
		})
		if len(r.faults) == before {
			if err := policy.Check(policy.Rule{Name: rule.Name, Allow: rule.Allow, Deny: rule.Deny, Scopes: rule.Scopes}); err != nil {
				r.fault(placeOf(item), full, err.Error(), "See docs/policy.md")
			}
		}
		r.cfg.Policy = append(r.cfg.Policy, rule)
	})
}

func (r *configReader) toolLimits(key string, n ast.Node) {
	r.items(key, n, func(full string, item ast.Node) {
		var t ToolLimit
		r.mapping(full, item, []field{
			{"tool", r.string(&t.Tool, anyText)},
			{"requests_per_minute", r.integer(&t.RequestsPerMinute, 1, 1_000_000)},
			{"concurrent_requests", r.integer(&t.ConcurrentRequests, 1, 1_000_000)},
		})
		if !r.has(full + ".tool") {
			r.missing(full+".tool", "Name the tool as clients see it")
		}
		r.cfg.Limits.Tools = append(r.cfg.Limits.Tools, t)
	})
}

func (r *configReader) cache(key string, n ast.Node) {
	r.items(key, n, func(full string, item ast.Node) {
		var c CacheRule
		r.mapping(full, item, []field{
			{"tool", r.string(&c.Tool, anyText)},
			{"resource", r.string(&c.Resource, anyText)},
			{"ttl", r.duration(&c.TTL, time.Second, 7*24*time.Hour)},
			{"public", r.boolean(&c.Public)},
		})
		switch {
		case r.has(full+".tool") == r.has(full+".resource"):
			r.fault(placeOf(item), full, "a rule is about either a tool or a resource", "Write one of tool and resource")
		case !r.has(full + ".ttl"):
			r.missing(full+".ttl", "Say how long a result may be kept, such as 30s")
		}
		r.cfg.Cache = append(r.cfg.Cache, c)
	})
}

func anyText(value string) (message, fix string) {
	if value == "" {
		return "this is empty", "Write something or leave the key out"
	}
	return "", ""
}

// checkUpstreamNames: several upstreams are told apart by their names.
func (r *configReader) checkUpstreamNames() {
	seen := map[string]bool{}
	for i, up := range r.cfg.Upstreams {
		if key := fmt.Sprintf("upstreams[%d].name", i); up.Name != "" && seen[up.Name] {
			r.fault(r.at(key), key, fmt.Sprintf("two upstreams are called %q", up.Name), "Give each a name of its own")
		}
		seen[up.Name] = true
	}
}
