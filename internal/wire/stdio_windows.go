package wire

import "os"

// duplicate returns out: Windows has no SIGPIPE to keep away from it.
func duplicate(out *os.File) *os.File { return out }
