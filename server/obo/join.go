package obo

import "context"

// Join returns a source of the credentials of several, in their order; nil for
// none. Later ones replace header fields of the same name.
func Join(sources ...Source) Source {
	switch len(sources) {
	case 0:
		return nil
	case 1:
		return sources[0]
	}
	return joined(sources)
}

type joined []Source

// Credential implements [Source].
func (j joined) Credential(ctx context.Context) (Credential, error) {
	var all Credential
	for _, s := range j {
		c, err := s.Credential(ctx)
		if err != nil {
			return Credential{}, err
		}
		all.fields = append(all.fields, c.fields...)
	}
	return all, nil
}

// Renew implements [Source]. The number of fields of a source stays the same,
// which is how the rejected ones are told apart.
func (j joined) Renew(ctx context.Context, rejected Credential, claims string) (Credential, error) {
	var all Credential
	rest := rejected.fields
	for _, s := range j {
		present, err := s.Credential(ctx)
		if err != nil {
			return Credential{}, err
		}
		own := Credential{rest[:min(len(present.fields), len(rest))]}
		rest = rest[len(own.fields):]
		c, err := s.Renew(ctx, own, claims)
		if err != nil {
			return Credential{}, err
		}
		all.fields = append(all.fields, c.fields...)
	}
	return all, nil
}
