package tokencache

import (
	"testing"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
)

// BenchmarkColdRead is what a bridge does before its first request: open the
// store of three accounts with three resources each (41 KB) and read it.
func BenchmarkColdRead(b *testing.B) {
	for name, mode := range stores() {
		b.Run(name, func(b *testing.B) {
			opts := storeOptions(b, mode)
			signIn(b, opts, mode, filler)
			b.SetBytes(int64(len(filler)))
			b.ReportAllocs()
			for b.Loop() {
				var m msal
				if err := open(b, opts).Replace(b.Context(), &m, cache.ReplaceHints{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	opts, _ := options(b)
	signIn(b, opts, ModeFile, filler)
	c := open(b, opts)
	wantRead(b, c, filler)
	m := msal{data: []byte(filler)}
	for b.Loop() {
		if err := c.Export(b.Context(), &m, cache.ExportHints{}); err != nil {
			b.Fatal(err)
		}
	}
}
