package redact

import (
	"net/url"
	"strings"
)

// URL returns an address as it may be shown: without the user, the query and the
// fragment, any of which may be a credential. A query leaves its mark, "?…", so
// that nobody takes what is left for the whole. What is no address is cut as if
// it were one.
func URL(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Opaque != "" {
		return roughly(address)
	}
	mark := ""
	if u.RawQuery != "" {
		mark = "?…"
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return u.String() + mark
}

func roughly(address string) string {
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		address = "…" + address[at:]
	}
	if before, _, found := strings.Cut(address, "#"); found {
		address = before
	}
	if before, _, found := strings.Cut(address, "?"); found {
		address = before + "?…"
	}
	return address
}
