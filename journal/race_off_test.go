//go:build !race

package journal

// underRace skips tests of large images, which take minutes under the race detector and teach it nothing new.
const underRace = false
