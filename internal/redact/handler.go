package redact

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
)

// NewHandler returns a handler that masks credentials in what it passes on to
// h: attributes with a sensitive name, values that say so themselves
// (slog.LogValuer), what [String] recognises, and each of the secrets wherever
// it occurs.
func NewHandler(h slog.Handler, secrets ...string) slog.Handler {
	var pairs []string
	for _, s := range secrets {
		if len(s) >= 4 { // less would mask half of every line
			pairs = append(pairs, s, Mask)
		}
	}
	return handler{h, strings.NewReplacer(pairs...)}
}

type handler struct {
	next    slog.Handler
	secrets *strings.Replacer
}

// Enabled implements slog.Handler.
func (h handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

// Handle implements slog.Handler.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, h.text(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.attr(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = h.attr(a)
	}
	return handler{h.next.WithAttrs(clean), h.secrets}
}

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.next.WithGroup(name), h.secrets}
}

func (h handler) text(s string) string { return h.secrets.Replace(String(s)) }

func (h handler) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	if v.Kind() != slog.KindGroup && v.Kind() != slog.KindBool && SensitiveName(a.Key) {
		return slog.String(a.Key, Mask)
	}
	return slog.Attr{Key: a.Key, Value: h.value(v)}
}

func (h handler) value(v slog.Value) slog.Value {
	switch v.Kind() {
	case slog.KindString:
		return slog.StringValue(h.text(v.String()))
	case slog.KindGroup:
		group := make([]slog.Attr, 0, len(v.Group()))
		for _, a := range v.Group() {
			group = append(group, h.attr(a))
		}
		return slog.GroupValue(group...)
	case slog.KindAny:
		return h.any(v)
	default:
		return v // numbers, times and booleans
	}
}

// any masks a value of some other type. One in which nothing is to be masked,
// however it may be printed, stays as it is.
func (h handler) any(v slog.Value) slog.Value {
	switch x := v.Any().(type) {
	case nil:
		return v
	case error:
		return slog.StringValue(h.text(x.Error()))
	case http.Header:
		return h.header(x)
	case *url.URL:
		if x == nil {
			return v
		}
		return slog.StringValue(h.text(x.Redacted()))
	case []string:
		return slog.StringValue(h.text(fmt.Sprint(x)))
	}
	text := fmt.Sprintf("%+v", v.Any())
	if clean := h.text(text); clean != text {
		return slog.StringValue(clean)
	}
	if data, err := json.Marshal(v.Any()); err == nil {
		if clean := h.text(string(data)); clean != string(data) {
			return slog.StringValue(clean)
		}
	}
	return v
}

func (h handler) header(header http.Header) slog.Value {
	clean := make(http.Header, len(header))
	for name, values := range header {
		if SensitiveName(name) {
			clean[name] = []string{Mask}
			continue
		}
		for _, value := range values {
			clean[name] = append(clean[name], h.text(value))
		}
	}
	return slog.AnyValue(clean)
}
