//go:build !race

package journal

// underRace: large images take minutes under the race detector, and show it nothing.
const underRace = false
