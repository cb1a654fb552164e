package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/mcpctl/mcpctl/server/auth"
)

// carriedCaller passes callers on from one replica to another: see
// gateway.Caller. What it makes holds a token and travels sealed.
type carriedCaller struct{}

// callerOnTheWay is a caller as other replicas get them.
type callerOnTheWay struct {
	Principal *auth.Principal `json:"principal"`
	Assertion string          `json:"assertion,omitempty"` // where upstreams act on behalf of callers
	Remote    string          `json:"remote"`
}

func (carriedCaller) Carry(ctx context.Context) ([]byte, error) {
	p, ok := auth.FromContext(ctx)
	if !ok {
		return nil, errors.New("passing on a caller: there is none")
	}
	c := callerOnTheWay{Principal: p, Remote: remoteOf(ctx)}
	c.Assertion, _ = auth.Assertion(ctx)
	return json.Marshal(c)
}

func (carriedCaller) Restore(ctx context.Context, carried []byte) (context.Context, error) {
	var c callerOnTheWay
	if err := json.Unmarshal(carried, &c); err != nil {
		return nil, fmt.Errorf("reading a caller that was passed on: %w", err)
	}
	if c.Principal == nil || !time.Now().Before(c.Principal.ExpiresAt.Add(auth.DefaultSkew)) {
		return nil, errors.New("reading a caller that was passed on: there is none, or the token has expired")
	}
	ctx = auth.WithAssertion(ctx, c.Principal, c.Assertion)
	return context.WithValue(ctx, remoteKey{}, c.Remote), nil
}
