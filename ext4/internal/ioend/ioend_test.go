package ioend

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// run explores and reports.
func run(t *testing.T, c config, v *variant) result {
	t.Helper()
	start := time.Now()
	r := explore(c, v)
	t.Logf("%s: %v: %d states, %d steps, %v", v.name, c, r.states, r.steps, time.Since(start).Round(time.Millisecond))
	return r
}

func (r result) String() string { return strings.Join(r.trace, "\n") + "\n=> " + r.violation + "\n" }

// configs are explored by the short form of the tests. Together they contain every pair of roles.
var configs = []config{
	{writes: 3, workers: 2, flushers: 1},
	{writes: 2, workers: 2, flushers: 2},
	{writes: 2, workers: 2, flushers: 0, exclusives: 2},
	{writes: 2, workers: 1, flushers: 1, exclusives: 1},
	{writes: 2, workers: 1, exclusives: 1, readers: 1},
	{writes: 2, workers: 2, flushers: 1, ioErr: 1},
	{writes: 2, workers: 1, flushers: 1, exclusives: 1, convErr: 1},
	{writes: 3, workers: 1, flushers: 1, ioErr: 1, convErr: 2},
	{writes: 3, workers: 1, flushers: 1, over: 1},
	{writes: 2, workers: 1, flushers: 1, exclusives: 1, over: 1},
}

// TestEveryInterleaving: the production machine has no interleaving that breaks an invariant.
func TestEveryInterleaving(t *testing.T) {
	all := configs
	if !testing.Short() {
		all = append(all, config{writes: 3, workers: 2, flushers: 2, exclusives: 2, deep: true})
	}
	for _, c := range all {
		if r := run(t, c, production()); r.violation != "" {
			t.Errorf("%v:\n%v", c, r)
		}
	}
}

// TestV4Holes: V4's flush returns while a worker's local list still holds a write that is not converted, and while
// I/O has finished but was not added yet. The interleavings are golden files. With the wait there are none:
// TestEveryInterleaving.
func TestV4Holes(t *testing.T) {
	for file, addedOnly := range map[string]bool{"v4-local-list.txt": true, "v4-not-added.txt": false} {
		r := run(t, config{writes: 1, workers: 1, flushers: 1}, v4(addedOnly))
		if !strings.Contains(r.violation, "flush returned nil") {
			t.Fatalf("the hole was not found: %v", r)
		}
		checkGolden(t, file, r)
	}
}

// checkGolden compares an interleaving with a golden file.
func checkGolden(t *testing.T, file string, r result) {
	t.Helper()
	golden := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(golden, []byte(r.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if r.String() != string(want) {
		t.Errorf("%s: got:\n%vwant:\n%s", file, r, want)
	}
}

// TestMutants: each planted mistake is found. The deadlock that the patch removed is a golden file.
func TestMutants(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.v.name, func(t *testing.T) {
			c := config{writes: 3, workers: 2, flushers: 1}
			if m.v.trylock {
				c = config{writes: 1, workers: 1, exclusives: 1}
			}
			r := run(t, c, m.v)
			if !strings.Contains(r.violation, m.want) {
				t.Errorf("not caught, or for another reason: %v", r)
			}
			t.Log("\n" + r.String())
			if m.v.trylock {
				checkGolden(t, "truncate-deadlock.txt", r)
			}
		})
	}
}

// TestQuestions: the questions of the review, and the answers of the exploration.
func TestQuestions(t *testing.T) {
	for _, v := range questions {
		for _, c := range []config{{writes: 3, workers: 2, flushers: 1}, {writes: 2, workers: 2, flushers: 2}} {
			if r := run(t, c, v); r.violation != "" {
				t.Errorf("%s: %v", v.name, r)
			}
		}
	}
}
