package server

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, written like 8MiB.
type Size int64

// sizeUnits are the units that sizes are written in, the largest first.
var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// parseSize reads a whole number of bytes, or of KiB, MiB or GiB.
func parseSize(text string) (Size, error) {
	number, unit := text, int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			number, unit = strings.TrimSuffix(rest, " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil || number[0] == '+' {
		return 0, errors.New("not a size")
	}
	if int64(n) > math.MaxInt64/unit {
		return 0, errors.New("too large a size")
	}
	return Size(int64(n) * unit), nil
}

// String is the size in the largest unit that needs no fraction.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
