package wire

import "time"

// SessionBounds bound the sessions of a front: see FrontOptions.
type SessionBounds struct {
	All, PerOwner int
	IdleTTL       time.Duration
}

// bounds are those in force.
func (f *front) bounds() SessionBounds {
	o := &f.opts
	b := SessionBounds{o.MaxSessions, o.MaxSessionsPerOwner, o.IdleTTL}
	if o.Bounds == nil {
		return b
	}
	now := o.Bounds()
	return SessionBounds{orDefault(now.All, b.All), orDefault(now.PerOwner, b.PerOwner), orDefault(now.IdleTTL, b.IdleTTL)}
}
