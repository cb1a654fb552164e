package server

import "testing"

func TestSizesReadBack(t *testing.T) {
	for text, want := range map[string]Size{"1": 1, "1024": 1 << 10, "1KiB": 1 << 10, "8 MiB": 8 << 20, "2GiB": 2 << 30, "1500KiB": 1500 << 10} {
		got, err := parseSize(text)
		if err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
		if again, err := parseSize(got.String()); err != nil || again != got {
			t.Errorf("%d is written as %s, which is read as %d, %v", got, got, again, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "+1", "1.5MiB", "8M", "8mib", "8  MiB", "1 2", "0x10", "99999999999999999999", "9223372036854775807KiB"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", text, got)
		}
	}
}
