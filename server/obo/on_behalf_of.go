package obo

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/memo"
	"github.com/mcpctl/mcpctl/server/auth"
)

// OnBehalfOfOptions configure [NewOnBehalfOf].
type OnBehalfOfOptions struct {
	Authority Authority
	// Scopes are those of the upstream's API, such as api://crm/.default.
	Scopes []string
	// ClientID is this server's, and Login the origin of the authority, such as
	// https://login.microsoftonline.com: for the link to give consent.
	ClientID, Login string
	Now             func() time.Time // nil is [time.Now]
	Logger          *slog.Logger     // nil discards
}

// OnBehalfOf is a [Source] of tokens that name the caller: the authority gives
// them in exchange for the token that the caller came with, which
// [auth.Assertion] finds in the context.
//
// Tokens are kept for each caller and inbound token, not for each caller alone:
// a sign-in with one factor must not get what another one with two has opened,
// and whoever signs in again to satisfy a policy is not shown the old refusal.
type OnBehalfOf struct {
	authority Authority
	scopes    []string
	terms     terms
	now       func() time.Time
	log       *slog.Logger
	tokens    *memo.Memo[exchangeKey, Credential]
}

type exchangeKey struct {
	tenant, object string
	assertion      [sha256.Size]byte
}

// NewOnBehalfOf returns a source. Close it in the end.
func NewOnBehalfOf(o OnBehalfOfOptions) (*OnBehalfOf, error) {
	if o.Authority == nil {
		return nil, errors.New("acting on behalf of callers needs a credential of this server (entra.credential)")
	}
	if len(o.Scopes) == 0 || slices.Contains(o.Scopes, "") {
		return nil, errors.New("acting on behalf of callers needs the scopes of the upstream's API")
	}
	s := &OnBehalfOf{
		authority: o.Authority, scopes: slices.Clone(o.Scopes), now: o.Now, log: o.Logger,
		terms: terms{what: "a token for " + resourceOf(o.Scopes[0]) + " on your behalf", origin: o.Login, client: o.ClientID},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.tokens = memo.New[exchangeKey, Credential](memo.Options{Max: maxTokens, Timeout: acquireTimeout, Now: s.now})
	return s, nil
}

// resourceOf is the API that a scope belongs to.
func resourceOf(scope string) string {
	if i := strings.LastIndexByte(scope, '/'); i > 0 {
		return scope[:i]
	}
	return scope
}

// Close ends exchanges that are under way.
func (s *OnBehalfOf) Close() { s.tokens.Close() }

// Credential implements [Source].
func (s *OnBehalfOf) Credential(ctx context.Context) (Credential, error) {
	return s.get(ctx, Credential{}, "")
}

// Renew implements [Source].
func (s *OnBehalfOf) Renew(ctx context.Context, rejected Credential, claims string) (Credential, error) {
	if claims == "" {
		claims = "{}"
	}
	return s.get(ctx, rejected, claims)
}

func (s *OnBehalfOf) get(ctx context.Context, rejected Credential, claims string) (Credential, error) {
	p, ok := auth.FromContext(ctx)
	switch {
	case !ok:
		return Credential{}, errNoCaller()
	case p.AppOnly:
		return Credential{}, errAppOnly(nil)
	}
	assertion, expires := auth.Assertion(ctx)
	switch {
	case assertion == "":
		return Credential{}, errNoCaller()
	case !s.now().Before(expires):
		return Credential{}, errAssertionGone()
	}
	key := exchangeKey{p.TenantID, p.ObjectID, sha256.Sum256([]byte(assertion))}
	if claims != "" {
		s.tokens.Forget(key, rejected.Equal)
	}
	c, err := s.tokens.Get(ctx, key, func(ctx context.Context) (Credential, time.Time, error) {
		token, expires, err := s.authority.OnBehalfOf(ctx, key.tenant, assertion, s.scopes, claims)
		if err != nil {
			s.log.Warn("no token on behalf of a caller", "caller", p, "scopes", s.scopes, "error", err)
			return Credential{}, s.now().Add(failureKept(err)), err
		}
		s.log.Debug("token on behalf of a caller", "caller", p, "scopes", s.scopes, "expires", expires)
		return bearer(token), goodUntil(s.now(), expires), nil
	})
	if err != nil {
		terms := s.terms
		terms.tenant = p.TenantID
		return Credential{}, terms.explain(ctx, err)
	}
	return c, nil
}
