package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
)

// TokenVerifier judges tokens; [*Verifier] does. Verify may be called
// concurrently and returns errors as [Verifier.Verify] does.
type TokenVerifier interface {
	Verify(ctx context.Context, raw string) (*Principal, error)
	MaxTokenBytes() int
}

// GuardOptions configures [NewGuard].
type GuardOptions struct {
	Verifier TokenVerifier
	Metadata *Metadata
	// OnRefusal is told of every request that was not let in, with a [*Refusal],
	// an [*UnavailableError] or a context's error, before the answer is sent.
	// The request it gets has no token. It may be called concurrently.
	OnRefusal func(*http.Request, error)
	// KeepAssertion leaves the token of a request that was let in with its
	// context, for [Assertion]. Set it only where something behind the guard
	// acts on behalf of callers.
	KeepAssertion bool
	// Logger gets a line for each request that was not let in; nil discards.
	Logger *slog.Logger
}

// A Guard lets in requests with a good bearer token.
type Guard struct {
	verifier  TokenVerifier
	metadata  *Metadata
	onRefusal func(*http.Request, error)
	keep      bool
	log       *slog.Logger
}

// NewGuard returns a guard. Verifier and Metadata are required.
func NewGuard(o GuardOptions) (*Guard, error) {
	if o.Verifier == nil || o.Metadata == nil {
		return nil, errors.New("a guard needs a verifier and resource metadata")
	}
	g := &Guard{verifier: o.Verifier, metadata: o.Metadata, onRefusal: o.OnRefusal, keep: o.KeepAssertion, log: o.Logger}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	return g, nil
}

// Handler returns next behind the guard. next finds the caller with
// [FromContext] and sees no Authorization header: the token ends here, but for
// [Assertion].
//
// The http.Server's MaxHeaderBytes must leave room above the verifier's
// MaxTokenBytes; otherwise net/http answers 431 itself, without the sizes.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, token, err := g.admit(r)
		if err != nil {
			g.Refuse(w, r, err)
			return
		}
		clean := withoutToken(r)
		in := &inbound{expires: p.ExpiresAt}
		if g.keep {
			in.token = newAssertion(token)
		}
		next.ServeHTTP(w, clean.WithContext(withInbound(NewContext(r.Context(), p), in)))
	})
}

func (g *Guard) admit(r *http.Request) (p *Principal, token string, err error) {
	token, refusal := bearerToken(r, g.verifier.MaxTokenBytes())
	if refusal != nil {
		return nil, "", refusal
	}
	p, err = g.verifier.Verify(r.Context(), token)
	return p, token, err
}

// Refuse answers a request that is not let in, for whoever decides so before the
// guard does. r may still have its token: nobody who is told gets to see it.
func (g *Guard) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	r = withoutToken(r)
	attrs := []slog.Attr{slog.String("method", shorten(r.Method)), slog.String("path", shorten(r.URL.Path)), slog.String("remote", r.RemoteAddr)}
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		attrs = append(attrs, slog.Int("status", refusal.Status), slog.String("rule", string(refusal.Rule)),
			slog.String("reason", refusal.Description))
		if refusal.Principal != nil {
			attrs = append(attrs, slog.Any("caller", refusal.Principal))
		}
		g.log.LogAttrs(r.Context(), slog.LevelInfo, "request refused", attrs...)
	default:
		level := slog.LevelWarn
		if r.Context().Err() != nil { // the client went away
			level = slog.LevelDebug
		}
		g.log.LogAttrs(r.Context(), level, "request not decided", append(attrs, slog.Any("error", err))...)
	}
	if g.onRefusal != nil {
		g.onRefusal(r, err)
	}
	g.metadata.writeRefusal(w, r.URL.Path, err)
}

const queryParameter = "access_token" // RFC 6750 section 2.3

// bearerToken takes the token from the Authorization header (RFC 6750 section
// 2.1): the scheme in any case, exactly one space, and nothing else.
//
// RFC 6750 would have 400 for a request that is malformed. We answer 401, since
// that is what makes an MCP client look for the way to sign in.
func bearerToken(r *http.Request, limit int) (string, *Refusal) {
	if hasQueryToken(r.URL) {
		return "", badRequest(RuleTokenInQuery,
			"The address contains an access token; tokens are accepted in the Authorization header only.")
	}
	values := r.Header.Values("Authorization")
	switch len(values) {
	case 0:
		return "", noToken("The request has no access token.")
	case 1:
	default:
		return "", badRequest(RuleManyTokens, "The request has %d Authorization headers.", len(values))
	}
	scheme, token, found := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", noToken("The request's Authorization header does not use the Bearer scheme.")
	}
	if !found || token == "" {
		return "", badRequest(RuleBearerSyntax, "The Authorization header has the Bearer scheme but no token.")
	}
	if len(token) > limit {
		return "", tooLarge(len(token), limit)
	}
	if !isToken68(token) {
		return "", badRequest(RuleBearerSyntax, "The Authorization header has characters that no bearer token has.")
	}
	return token, nil
}

// isToken68 reports whether s is a b64token of RFC 6750 section 2.1.
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// hasQueryToken looks at each pair itself, since url.Values leaves out those
// that it cannot read.
func hasQueryToken(u *url.URL) bool {
	for _, pair := range strings.FieldsFunc(u.RawQuery, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if strings.EqualFold(name, queryParameter) {
			return true
		}
	}
	return false
}

func noToken(description string) *Refusal {
	return &Refusal{
		Rule: RuleNoToken, Status: http.StatusUnauthorized, OfferScopes: true,
		Description: description,
	}
}

func badRequest(rule Rule, format string, args ...any) *Refusal {
	r := invalid(rule, format, args...)
	r.OAuthError = errInvalidRequest
	return r
}

// withoutToken is a shallow copy of r that carries no token, neither in the
// header nor in the address.
func withoutToken(r *http.Request) *http.Request {
	clean := r.WithContext(r.Context())
	clean.Header = r.Header.Clone()
	clean.Header.Del("Authorization")
	if hasQueryToken(r.URL) {
		u := *r.URL
		u.RawQuery = ""
		clean.URL = &u
		clean.RequestURI = u.RequestURI()
	}
	return clean
}
