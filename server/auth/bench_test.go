package auth

import (
	"context"
	"fmt"
	"testing"
)

// benchmarkTokens covers an ordinary token and one with as many groups as Entra
// puts into a token.
func benchmarkTokens() map[string]*testToken {
	groups := make([]string, 200)
	for i := range groups {
		groups[i] = fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)
	}
	return map[string]*testToken{"plain": v2Token(), "200groups": v2Token().with(m{"groups": groups})}
}

// BenchmarkVerifyCached is the cost of a token seen before.
func BenchmarkVerifyCached(b *testing.B) {
	for name, token := range benchmarkTokens() {
		b.Run(name, func(b *testing.B) {
			v := newVerifier(b, testOptions(newFakeAuthority(), newClock()))
			raw := token.sign()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(context.Background(), raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkVerifyCold is the whole examination of a token, keys at hand.
func BenchmarkVerifyCold(b *testing.B) {
	for name, token := range benchmarkTokens() {
		b.Run(name, func(b *testing.B) {
			v := newVerifier(b, testOptions(newFakeAuthority(), newClock()))
			raw := token.sign()
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := v.verify(context.Background(), raw, start); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheckSignature(b *testing.B) {
	raw := v2Token().sign()
	key := &signingKey{id: "kid-1", public: &testKey().PublicKey}
	for b.Loop() {
		if err := checkSignature(raw, key); err != nil {
			b.Fatal(err)
		}
	}
}
