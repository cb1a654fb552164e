package auth

import (
	"cmp"
	"errors"
)

// WithPermissions returns a verifier like v that demands other permissions:
// RequiredScopes, RequiredRoles and AllowedClients of o. The rest of o is not
// looked at. It shares v's signing keys, so that it needs no authority to begin
// with; closing either closes both.
func (v *Verifier) WithPermissions(o Options) (*Verifier, error) {
	next := *v
	next.scopes = nil
	// Rules that look at groups may come under way; that they go is not worth noticing.
	next.needGroups = v.needGroups || o.NeedGroups
	var faults faultList
	o.settlePermissions(&next, &faults)
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	// What was found good under the old permissions has to be judged anew.
	next.cache = newVerdictCache(cmp.Or(v.cache.max, DefaultCacheSize))
	return &next, nil
}
