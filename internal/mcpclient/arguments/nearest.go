package arguments

import (
	"math"
	"strings"
	"unicode/utf8"
)

// Nearest returns the candidate that was probably meant by name, "" where none
// is near.
func Nearest(name string, candidates []string) string {
	if name == "" {
		return ""
	}
	best, bestDistance := "", 1+max(1, utf8.RuneCountInString(name)/3)
	for _, c := range candidates {
		d := distance(fold(name), fold(c))
		if d < bestDistance {
			best, bestDistance = c, d
		}
	}
	if best != "" || utf8.RuneCountInString(name) < 3 {
		return best
	}
	for _, c := range candidates {
		if strings.Contains(fold(c), fold(name)) {
			return c
		}
	}
	return ""
}

// fold makes names alike that differ in style: get-quote, getQuote, get_quote.
func fold(name string) string {
	return strings.NewReplacer("_", "", "-", "", ".", "", "/", "").Replace(strings.ToLower(name))
}

// maxCompared bounds the names that are compared: the work is quadratic.
const maxCompared = 100

// distance counts the characters to insert, delete, replace or swap with their
// neighbour (optimal string alignment).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > maxCompared || len(y) > maxCompared {
		return math.MaxInt
	}
	above, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := range x {
		row[0] = i + 1
		for j := range y {
			cost := last[j]
			if x[i] != y[j] {
				cost++
			}
			row[j+1] = min(cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				row[j+1] = min(row[j+1], above[j-1]+1)
			}
		}
		above, last, row = last, row, above
	}
	return last[len(y)]
}
