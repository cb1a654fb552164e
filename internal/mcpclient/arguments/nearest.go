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

// distance is Levenshtein's.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > maxCompared || len(y) > maxCompared {
		return math.MaxInt
	}
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		diagonal := row[0]
		row[0] = i + 1
		for j := range y {
			cost := diagonal
			if x[i] != y[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(y)]
}
