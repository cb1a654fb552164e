//go:build unix

package cmd

import "os"

// parentAlive returns what tells whether the process that has started this one
// is still there, and what to call when that is not asked any more: orphans get
// another parent (getppid(2)).
func parentAlive() (alive func() bool, done func()) {
	parent := os.Getppid()
	return func() bool { return os.Getppid() == parent }, func() {}
}
