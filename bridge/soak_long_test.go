//go:build soak

package bridge

import "time"

// soakTime is how long TestSoak goes on after its first hour.
const soakTime = 10 * time.Minute
