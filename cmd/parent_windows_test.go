package cmd

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"
)

const parentRole = "MCPCTL_TEST_PARENT_ROLE"

// A process learns that the one that has started it is gone, whoever else holds
// its standard input open.
func TestTheEndOfAParentIsSeen(t *testing.T) {
	again := func(role string) *exec.Cmd {
		c := exec.Command(os.Args[0], "-test.run=^TestTheEndOfAParentIsSeen$")
		c.Env, c.Stdout, c.Stderr = append(os.Environ(), parentRole+"="+role), os.Stdout, os.Stderr
		return c
	}
	switch os.Getenv(parentRole) {
	case "parent":
		c := again("child")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		os.Exit(0)
	case "child":
		alive, done := parentAlive()
		fmt.Println("alive:", alive())
		for until := time.Now().Add(scriptPatience); alive() && time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		}
		fmt.Println("alive:", alive())
		done()
		os.Exit(0)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := again("parent")
	c.Stdout = w
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	said, err := io.ReadAll(r)
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	if got, want := string(said), "alive: true\nalive: false\n"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}
