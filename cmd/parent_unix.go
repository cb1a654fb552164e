//go:build unix

package cmd

import "os"

// parentAlive returns what tells whether the process that has started this one
// is still there: orphans get another parent (getppid(2)).
func parentAlive() func() bool {
	parent := os.Getppid()
	return func() bool { return os.Getppid() == parent }
}
