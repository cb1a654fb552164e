package gateway

import (
	"bytes"
	"testing"
)

func FuzzMessageOfAReplica(f *testing.F) {
	f.Add(message{Kind: isRequest, Exchange: "x", From: "r", Caller: []byte{1}, body: []byte("{}")}.encode())
	f.Add([]byte(`{"k":"piece"}`))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeMessage(data)
		if err != nil {
			return
		}
		again, err := decodeMessage(m.encode())
		if err != nil || again.Kind != m.Kind || again.Exchange != m.Exchange || !bytes.Equal(again.body, m.body) {
			t.Errorf("%q became %+v, %v", data, again, err)
		}
	})
}

func FuzzSealedCaller(f *testing.F) {
	r := &Replica{}
	r.aead, _, _ = newSeals(make([]byte, keySize))
	other := &Replica{}
	other.aead, _, _ = newSeals(bytes.Repeat([]byte("k"), keySize))
	f.Add(other.seal([]byte("ada"), "x"), "x")
	f.Add([]byte("short"), "x")
	f.Fuzz(func(t *testing.T, sealed []byte, exchange string) {
		if caller, err := r.open(sealed, exchange); err == nil {
			t.Errorf("%q is believed", caller)
		}
		if caller, err := r.open(r.seal(sealed, exchange), exchange); err != nil || !bytes.Equal(caller, sealed) {
			t.Errorf("%q came back as %q, %v", sealed, caller, err)
		}
	})
}
