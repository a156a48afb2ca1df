//go:build race

package protocol_test

// The race detector makes pools forget at random.
const raceEnabled = true
