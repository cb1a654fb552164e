package desktop

import (
	"io/fs"
	"os"
)

// sameOwner does nothing: a new file inherits its access from the folder.
func sameOwner(*os.File, fs.FileInfo) error { return nil }
