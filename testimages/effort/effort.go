// Package effort tells tests how much to do and where random tests begin: in one place for all of them, as
// scripts/dev describes.
//
//	EXT4IMG_LONG=1           the long form of each test
//	EXT4IMG_OPS=N            operations of each random test
//	EXT4IMG_SEED=N           its seed
//	EXT4IMG_CRASH_STATES=N   states of each crash test
package effort

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Long tells whether the long forms are wanted.
func Long() bool { return os.Getenv("EXT4IMG_LONG") != "" }

// NeedLong skips a test that has only a long form; why is what speaks against running it each time.
func NeedLong(t testing.TB, why string) {
	t.Helper()
	if !Long() {
		t.Skip(why + ": set EXT4IMG_LONG=1")
	}
}

// Ops is the number of operations of a random test: EXT4IMG_OPS, or short, or in the long form long.
func Ops(short, long int) int { return number("EXT4IMG_OPS", short, long) }

// CrashStates is the number of states of a crash test: EXT4IMG_CRASH_STATES, or short, or in the long form long.
func CrashStates(short, long int) int { return number("EXT4IMG_CRASH_STATES", short, long) }

func number(name string, short, long int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	if Long() {
		return long
	}
	return short
}

// Seed is where a random test begins: EXT4IMG_SEED, or a new seed. The test's log has the line that runs it again. ops is
// the number of operations, which that line repeats; 0 is a test without.
func Seed(t testing.TB, ops int) uint64 {
	t.Helper()
	return FixedSeed(t, rand.Uint64(), ops)
}

// FixedSeed is Seed for a test that does the same each time: without EXT4IMG_SEED it is seed.
func FixedSeed(t testing.TB, seed uint64, ops int) uint64 {
	t.Helper()
	if n, err := strconv.ParseUint(os.Getenv("EXT4IMG_SEED"), 10, 64); err == nil {
		seed = n
	}
	again := "EXT4IMG_SEED=" + strconv.FormatUint(seed, 10)
	if ops > 0 {
		again += " EXT4IMG_OPS=" + strconv.Itoa(ops)
	}
	t.Logf("again: %s go test %s -count=1 -run '^%s$'", again, folder(), strings.ReplaceAll(t.Name(), "/", "$/^"))
	return seed
}

// folder is the folder of the test's package, from the root of the project.
func folder() string {
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	for root := dir; root != filepath.Dir(root); root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			rel, _ := filepath.Rel(root, dir)
			return "./" + filepath.ToSlash(rel)
		}
	}
	return dir
}
