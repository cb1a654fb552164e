package server

import "errors"

// mendable is an error whose fix is known, kept apart for those who show it apart.
type mendable struct {
	err error
	fix string
}

func withFix(err error, fix string) error {
	if fix == "" {
		return err
	}
	return &mendable{err, fix}
}

// Error implements error.
func (e *mendable) Error() string { return e.err.Error() + ". " + e.fix }

// Unwrap returns what happened.
func (e *mendable) Unwrap() error { return e.err }

// causeAndFix takes an error apart; fix is other where the error knows none.
func causeAndFix(err error, other string) (cause, fix string) {
	if m, ok := errors.AsType[*mendable](err); ok && m.Error() == err.Error() {
		return m.err.Error(), m.fix
	}
	return err.Error(), other
}
