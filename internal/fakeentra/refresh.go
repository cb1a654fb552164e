package fakeentra

import "time"

// session is what a sign-in leaves behind for later refreshes.
type session struct {
	client string
	oid    string
	scope  string    // as requested, used when a refresh names none
	acrs   []string  // authentication contexts that the person satisfied
	began  time.Time // the sign-in
}

// refreshToken is a session's key at a moment. Entra leaves a used one valid.
type refreshToken struct {
	session
	issued  time.Time
	used    bool
	revoked time.Time // when the person's sessions were ended, or zero
}

// refreshStore keeps the latest refresh tokens, forgetting the oldest first.
type refreshStore struct {
	max    int
	tokens map[string]*refreshToken
	order  []string
}

func newRefreshStore(max int) *refreshStore {
	return &refreshStore{max: max, tokens: map[string]*refreshToken{}}
}

func (r *refreshStore) add(t refreshToken) string {
	if len(r.order) >= r.max {
		drop := max(1, r.max/10) // in batches: moving the rest up costs
		for _, old := range r.order[:drop] {
			delete(r.tokens, old)
		}
		r.order = append(r.order[:0], r.order[drop:]...)
	}
	token := "1." + randomID(96)
	r.tokens[token] = &t
	r.order = append(r.order, token)
	return token
}

func (r *refreshStore) get(token string) *refreshToken { return r.tokens[token] }

// revoke marks every token of the person. Marks, unlike a comparison of times,
// tell a sign-in right after the revocation from one right before.
func (r *refreshStore) revoke(oid string, at time.Time) {
	for _, t := range r.tokens {
		if t.oid == oid {
			t.revoked = at
		}
	}
}
