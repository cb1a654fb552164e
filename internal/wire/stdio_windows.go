package wire

import "os"

func ownStdout() *os.File { return os.Stdout }
