package tokencache

import (
	"encoding/json"
	"fmt"
	"slices"
)

const (
	recordVersion = 1
	maxRecordSize = 64 << 10
	maxRecordKeys = 32 // logins in a row, each with a keyring that neither took the key nor refused it
)

// record is store.json: every key that may still exist, and where. It is
// written before a key is stored and shortened after a key was removed, so
// that a crash in between leaves no key that logout doesn't know of.
type record struct {
	Version int        `json:"version"`
	Keys    []keyEntry `json:"keys"` // the last is the current one
}

type keyEntry struct {
	ID      keyID   `json:"id"`
	Backend Backend `json:"backend"`
}

// parseRecord reads store.json.
func parseRecord(data []byte) (record, error) {
	var rec record
	if err := json.Unmarshal(data, &rec); err != nil {
		// The decoder's error may quote the file; what the person needs to
		// know is that it is damaged.
		return record{}, errBadRecord
	}
	if rec.Version != recordVersion {
		return record{}, fmt.Errorf("%w: version %d, this mcpctl knows %d", errBadRecord, rec.Version, recordVersion)
	}
	return rec, nil
}

func (r record) marshal() ([]byte, error) {
	r.Version = recordVersion
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}

// current returns the key that a login uses next.
func (r record) current() (keyEntry, bool) {
	if len(r.Keys) == 0 {
		return keyEntry{}, false
	}
	return r.Keys[len(r.Keys)-1], true
}

func (r record) find(id keyID) (keyEntry, bool) {
	i := slices.IndexFunc(r.Keys, func(e keyEntry) bool { return e.ID == id })
	if i < 0 {
		return keyEntry{}, false
	}
	return r.Keys[i], true
}

// with returns a record in which e is the current key.
func (r record) with(e keyEntry) record {
	r.Keys = append(r.without(e.ID).Keys, e)
	return r
}

func (r record) without(id keyID) record {
	r.Keys = slices.DeleteFunc(slices.Clone(r.Keys), func(e keyEntry) bool { return e.ID == id })
	return r
}
