package fakeentra

// Fault is a scripted misfortune.
type Fault struct{ Name string }

type activeFault struct{ Fault }

func (x *exchange) applyFault() bool { return false }

func (x *exchange) edited(reply map[string]any) map[string]any { return reply }
