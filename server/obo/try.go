package obo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mcpctl/mcpctl/internal/catalogue"
)

// Try finds out whether a source can give credentials before anybody needs one.
// What is given in exchange for callers' tokens can't be had without a caller:
// there the authority is asked for a token of this server's own application for
// the same API, which shows a fault of the credential, of the registration or of
// the API. Errors are as those of [Source]; a nil source has none.
func Try(ctx context.Context, s Source) error {
	if s == nil {
		return nil
	}
	if t, ok := s.(interface{ try(context.Context) error }); ok {
		return t.try(ctx)
	}
	_, err := s.Credential(ctx)
	return err
}

func (j joined) try(ctx context.Context) error {
	for _, s := range j {
		if err := Try(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (s *OnBehalfOf) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	_, _, err := s.authority.ForClient(ctx, "", resourceOf(s.scopes[0])+"/.default", "")
	if err == nil || recognized(err) {
		return nil
	}
	return terms{what: "tokens for " + resourceOf(s.scopes[0])}.explain(ctx, err)
}

// recognized reports refusals by which the authority says that it knows the
// application, its credential and the API: it won't give the application a token
// of its own, which is more than an exchange needs.
func recognized(err error) bool {
	var f Failure
	return errors.As(err, &f) && !f.Temporary() &&
		(slices.Contains(blockedCodes, f.AADSTS()) || slices.Contains(consentCodes, f.AADSTS()))
}

// Diagnose says to the operator, not to callers, why a source has failed and
// what to do about it, "" where that is not known.
func Diagnose(err error) (cause, fix string) {
	var e *Error
	if !errors.As(err, &e) {
		return err.Error(), ""
	}
	cause, fix = strings.TrimSuffix(e.Text, "."), strings.TrimSuffix(e.Fix, ".")
	if e.err != nil {
		cause = e.err.Error()
	}
	if e.Fix == operator {
		fix = "" // who reads this is the operator
	}
	var f Failure
	if errors.As(err, &f) {
		if entry, ok := catalogue.Lookup(fmt.Sprintf("AADSTS%d", f.AADSTS())); ok {
			fix = entry.Fix
		}
	}
	return cause, fix
}
