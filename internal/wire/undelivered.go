package wire

// memberUndelivered is the member of an error's data that marks a request which
// was taken from its sender and not delivered to anybody.
const memberUndelivered = "mcpctl/undelivered"

// NewUndelivered returns the error for a request that was not delivered to
// anybody, so that nothing was done and it may be sent again. A transport that
// takes messages before it looks at them, such as HTTP+SSE, can say so in no
// other way.
func NewUndelivered(id ID, code int, message string) Frame {
	return NewError(id, code, message, map[string]bool{memberUndelivered: true})
}

// Undelivered reports an error that [NewUndelivered] has made.
func Undelivered(f Frame) bool {
	return f.Kind == Response && f.Failed && string(Lookup(f.Raw, "error", "data", memberUndelivered)) == "true"
}
