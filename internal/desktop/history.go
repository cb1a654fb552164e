package desktop

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// keptPerFile and keptAll bound how many backups there are.
	keptPerFile = 10
	keptAll     = 100
	// attempts bounds how often an edit starts anew because another program
	// writes the file all the time.
	attempts = 3

	backupMark = ".mcpctl-backup-"
	stampForm  = "20060102T150405.000000000Z"
)

// ErrNothingToUndo reports that no change is remembered.
var ErrNothingToUndo = errors.New("there is nothing to undo")

// A History makes changes to configuration files and remembers how the files
// were. It is a folder with a copy for each change, readable by its owner only,
// since clients' configuration holds secrets.
type History struct {
	// Dir is the folder, which need not be there.
	Dir string
	// Now is the clock.
	Now func() time.Time
}

// A Change is what an edit does, or would do, to a file.
type Change struct {
	Config Config
	// Before and After are the content; nil is no file.
	Before, After []byte
	// Backup is the copy of Before, or "" if there was no file or no change.
	Backup string
}

// Changed tells whether the edit makes a difference.
func (c Change) Changed() bool {
	return !bytes.Equal(c.Before, c.After) || (c.Before == nil) != (c.After == nil)
}

// A record is what is remembered of a change, beside the copy of the file.
type record struct {
	Time    time.Time `json:"time"`
	Client  string    `json:"client"`
	Scope   Scope     `json:"scope"`
	Path    string    `json:"path"`
	Existed bool      `json:"existed"`
	// After is the SHA-256 of the file after the change; "" is no file.
	After string `json:"after"`
	// Folders were made for the file.
	Folders []string `json:"folders,omitempty"`

	name string // of the record's file
}

// backup is the copy of the file.
func (r record) backup() string { return strings.TrimSuffix(r.name, ".json") }

// Plan tells what edit would do to a file. edit gets the document, nil for no
// file, and its earlier versions, the last first.
func (h History) Plan(c Config, edit func(doc []byte, earlier [][]byte) ([]byte, error)) (Change, error) {
	change, _, err := h.plan(c, edit)
	return change, err
}

func (h History) plan(c Config, edit func(doc []byte, earlier [][]byte) ([]byte, error)) (Change, file, error) {
	f, err := readFile(c.Path)
	if err != nil {
		return Change{}, f, err
	}
	after, err := edit(f.data, h.versions(c.Path))
	return Change{Config: c, Before: f.data, After: after}, f, err
}

// Apply makes the change, after a copy of the file as it was. It begins anew if
// another program changes the file meanwhile; if that goes on, the error is
// [ErrChanged] and the file is the other's. Others that use the same history
// wait for each other.
func (h History) Apply(c Config, edit func(doc []byte, earlier [][]byte) ([]byte, error)) (Change, error) {
	unlock, err := h.lock()
	if err != nil {
		return Change{Config: c}, fmt.Errorf("writing %s: %w", c.Path, err)
	}
	defer unlock()
	for attempt := 1; ; attempt++ {
		change, f, err := h.plan(c, edit)
		if err != nil || !change.Changed() {
			return change, err
		}
		err = h.write(&change, f)
		switch {
		case errors.Is(err, ErrChanged) && attempt < attempts:
			continue
		case errors.Is(err, ErrChanged):
			err = fmt.Errorf("%w: close %s and try again", err, c.Client.Name)
		}
		if err != nil {
			return change, fmt.Errorf("writing %s: %w", c.Path, err)
		}
		return change, nil
	}
}

func (h History) write(change *Change, f file) error {
	r := record{
		Time: h.Now().UTC(), Client: change.Config.Client.ID, Scope: change.Config.Scope, Path: change.Config.Path,
		Existed: f.info != nil, After: digest(change.After), Folders: f.folder,
	}
	if err := h.save(&r, f.data); err != nil {
		return fmt.Errorf("keeping a backup: %w", err)
	}
	if err := f.replace(change.After, change.Config.Scope == User); err != nil {
		h.forget(r)
		return err
	}
	if change.After == nil {
		removeFolders(h.folders(change.Config.Path))
	}
	if r.Existed {
		change.Backup = r.backup()
	}
	h.prune()
	return nil
}

func digest(data []byte) string {
	if data == nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// save writes the copy first: a record without its copy would be of no use.
// Where one of them can't be written neither is left.
func (h History) save(r *record, data []byte) error {
	if err := os.MkdirAll(h.Dir, 0o700); err != nil {
		return err
	}
	for i := 0; ; i++ { // two changes may have the same time
		stamp := r.Time.Add(time.Duration(i)).Format(stampForm)
		name := filepath.Join(h.Dir, r.Client+"-"+filepath.Base(r.Path)+backupMark+stamp)
		out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, os.ErrExist) && i < 1000 {
			continue
		}
		if err != nil {
			return err
		}
		r.Time, r.name = r.Time.Add(time.Duration(i)), name+".json"
		_, err = out.Write(data)
		if err = errors.Join(err, out.Close()); err == nil {
			err = r.save()
		}
		if err != nil {
			h.forget(*r)
		}
		return err
	}
}

func (r record) save() error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(r.name, append(text, '\n'), 0o600)
}

func (h History) forget(r record) {
	_ = os.Remove(r.name)
	_ = os.Remove(r.backup())
}

// records are those of a file, or all if path is "", the last first. What can't
// be read is left out: it is no reason to refuse a change.
func (h History) records(path string) []record {
	var list []record
	for _, name := range names(h.Dir) {
		if !strings.Contains(name, backupMark) || !strings.HasSuffix(name, ".json") {
			continue
		}
		r := record{name: filepath.Join(h.Dir, name)}
		data, err := os.ReadFile(r.name)
		if err != nil || json.Unmarshal(data, &r) != nil || path != "" && r.Path != path {
			continue
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b record) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(b.name, a.name))
	})
	return list
}

// versions are the earlier contents of a file, the last first.
func (h History) versions(path string) [][]byte {
	var list [][]byte
	for _, r := range h.records(path) {
		if data, ok := h.before(r); ok {
			list = append(list, data)
		}
	}
	return list
}

// before is the content before a change.
func (h History) before(r record) (data []byte, ok bool) {
	if !r.Existed {
		return nil, true
	}
	data, err := os.ReadFile(r.backup())
	return data, err == nil
}

// folders are those that were made for a file.
func (h History) folders(path string) (dirs []string) {
	for _, r := range h.records(path) {
		for _, dir := range r.Folders {
			if !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	return dirs
}

func (h History) prune() {
	of := map[string]int{}
	for i, r := range h.records("") {
		if of[r.Path]++; of[r.Path] > keptPerFile || i >= keptAll {
			h.forget(r)
		}
	}
}

// An Undo takes back the last change: of one client's files, or of any.
type Undo struct {
	Change
	history History
	record  record
	file    file
}

// PlanUndo finds the last change; client is an ID, or "" for any. The error is
// [ErrNothingToUndo] if there is none, and [ErrChanged] if the file is not as
// the change left it, which [Undo.Apply] would overwrite.
func (h History) PlanUndo(client string) (Undo, error) {
	for _, r := range h.records("") {
		if client != "" && r.Client != client {
			continue
		}
		data, ok := h.before(r)
		c, err := FindClient(r.Client)
		if !ok || err != nil {
			continue
		}
		f, err := readFile(r.Path)
		if err != nil {
			return Undo{}, err
		}
		u := Undo{
			Change:  Change{Config: Config{Client: c, Scope: r.Scope, Path: r.Path}, Before: f.data, After: data},
			history: h, record: r, file: f,
		}
		if digest(f.data) != r.After {
			return u, fmt.Errorf("%s: %w", r.Path, ErrChanged)
		}
		return u, nil
	}
	return Undo{}, ErrNothingToUndo
}

// Apply writes the file as it was, and forgets the change. The error is
// [ErrChanged] if the file has changed since the plan was made.
func (u Undo) Apply() error {
	unlock, err := u.history.lock()
	if err != nil {
		return fmt.Errorf("writing %s: %w", u.Config.Path, err)
	}
	defer unlock()
	if u.Changed() {
		if err := u.file.replace(u.After, u.Config.Scope == User); err != nil {
			return fmt.Errorf("writing %s: %w", u.Config.Path, err)
		}
	}
	if u.After == nil {
		removeFolders(u.record.Folders)
	}
	u.history.forget(u.record)
	return nil
}
