package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/redact"
	"github.com/mcpctl/mcpctl/tokencache"
)

// filesDir is the folder of mcpctl's files, which need not be there yet.
func filesDir() (string, error) {
	dir, err := profile.Dir()
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("looking for mcpctl's files: %w", err)
	} else if err == nil && !info.IsDir() {
		return "", fmt.Errorf("looking for mcpctl's files: %w", &fs.PathError{Op: "open", Path: dir, Err: errors.New("not a folder")})
	}
	return dir, nil
}

// withDirHint says what to do about files of ours that can't be read or written.
func withDirHint(err error) error {
	var file *fs.PathError
	dir, dirErr := profile.Dir()
	if dirErr != nil || !errors.As(err, &file) || !(within(file.Path, dir) || within(dir, file.Path)) {
		return err
	}
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w. Make room on that disk, then try again; or name another folder in %s", err, profile.DirVariable)
	}
	return fmt.Errorf("%w. Make %s a folder of yours that you can write to, or name another one in %s", err, dir, profile.DirVariable)
}

// within reports whether path is dir or lies below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// storeOptions says where the tokens of an authority are kept. A development
// authority gets a place of its own, so that it can never touch real tokens.
func storeOptions(dev bool, log *slog.Logger) (tokencache.Options, error) {
	dir, err := filesDir()
	if err != nil {
		return tokencache.Options{}, err
	}
	o := tokencache.Options{Dir: dir, Service: "mcpctl", Logger: log}
	if dev {
		o.Dir, o.Service = filepath.Join(dir, "dev"), "mcpctl-dev"
	}
	return o, nil
}

func openProfiles(deps Deps) (*profile.Store, error) {
	dir, err := filesDir()
	if err != nil {
		return nil, err
	}
	return profile.Open(dir, deps.Now), nil
}

// signInClient opens the sign-in that a profile pins. It reads and sends
// nothing yet.
func signInClient(deps Deps, p profile.Profile, cache entra.TokenCache, log *slog.Logger) (*entra.Client, error) {
	authority, err := entra.ParseAuthority(p.Authority, p.DevCA)
	if err != nil {
		return nil, fmt.Errorf("reading the profile of %s: %w", redact.URL(p.URL), err)
	}
	return entra.New(entra.Options{
		Authority: authority, ClientID: p.ClientID, Scopes: p.Scopes, Resource: p.URL,
		Account: p.Account.HomeAccountID, Cache: cache, Transport: authorityTransport(deps, p, authority, log), Logger: log,
	})
}

// openSignIn opens the existing sign-in for a profile.
func openSignIn(deps Deps, p profile.Profile, log *slog.Logger) (*entra.Client, error) {
	store, err := storeOptions(p.DevCA != "", log)
	if err != nil {
		return nil, err
	}
	cache, err := tokencache.Open(store)
	if err != nil {
		return nil, err
	}
	return signInClient(deps, p, cache, log)
}

// tokenSource words failures to get a token for the server at url.
type tokenSource struct{ url string }

// hint adds the command that helps where a person has to sign in, unless the
// error names it already.
func (s tokenSource) hint(err error) error {
	person := errors.Is(err, entra.ErrSignInRequired) || errors.Is(err, tokencache.ErrUnreadable)
	if person && !strings.Contains(err.Error(), "mcpctl login") {
		return fmt.Errorf("%w. Run: mcpctl login %s", err, redact.URL(s.url))
	}
	return err
}

func bearer(challenge []string) (entra.Challenge, bool) {
	all, _ := entra.ParseChallenges(challenge) // what could be read counts
	for _, c := range all {
		if c.Scheme == "bearer" {
			return c, true
		}
	}
	return entra.Challenge{}, false
}
