package tokencache

import (
	"errors"
	"testing"
)

// Whatever lies in tokens.bin: no panic, and only the untouched file opens.
func FuzzStoreFile(f *testing.F) {
	k := newKey()
	raw, err := seal(k, []byte("tokens"))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{nil, raw, raw[:len(raw)-1], raw[:headerSize], append(raw[:len(raw):len(raw)], 0), []byte(magic)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		blob, err := unseal(k, data)
		if err == nil {
			if string(blob) != "tokens" || string(data) != string(raw) {
				t.Fatalf("%x opens", data)
			}
			return
		}
		if _, ok := errors.AsType[damage](err); !ok {
			t.Fatalf("%v is not told as damage", err)
		}
	})
}

// Whatever lies in store.json: what is accepted means the same when it is
// written again, and its ids are fit to be file names.
func FuzzRecord(f *testing.F) {
	good, err := record{}.with(keyEntry{ID: newKey().id, Backend: BackendKeyring}).marshal()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", "{", "null", string(good), `{"version":2}`, `{"version":1,"keys":[{"id":"../../x"}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := parseRecord(data)
		if err != nil {
			if _, ok := errors.AsType[damage](err); !ok {
				t.Fatalf("%v is not told as damage", err)
			}
			return
		}
		again, err := rec.marshal()
		if err != nil {
			t.Fatal(err)
		}
		same, err := parseRecord(again)
		if err != nil || len(same.Keys) != len(rec.Keys) {
			t.Fatalf("%s is read as %d keys, %v", again, len(same.Keys), err)
		}
	})
}
