package cmd

import (
	"log/slog"
	"os"
	"path/filepath"

	"github.com/mcpctl/mcpctl/internal/era"
	"github.com/mcpctl/mcpctl/internal/profile"
)

// verdictDir is the folder in which bridges keep what servers speak: below the
// user's folder for caches, or below mcpctl's own where that was named.
func verdictDir() (string, error) {
	if os.Getenv(profile.DirVariable) != "" {
		dir, err := profile.Dir()
		return filepath.Join(dir, "eras"), err
	}
	base, err := os.UserCacheDir()
	return filepath.Join(base, "mcpctl", "eras"), err
}

// keptVerdicts is the memory of what servers speak that bridges share; nil, for
// that of one run, where there is no place for it.
func keptVerdicts(deps Deps, log *slog.Logger) era.VerdictStore {
	dir, err := verdictDir()
	if err != nil {
		log.Debug("what servers speak is not kept", "reason", err)
		return nil
	}
	return era.NewVerdictFiles(dir, deps.Now, log)
}

// removeVerdicts forgets what servers speak.
func removeVerdicts() error {
	dir, err := verdictDir()
	if err != nil {
		return nil //nolint:nilerr // where there is no place, nothing was kept
	}
	return os.RemoveAll(dir)
}
