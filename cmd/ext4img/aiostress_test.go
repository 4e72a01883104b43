package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// testCase1 is "-I 100000 -O -s 100m -n -t 1 -c 10 -o 2 -o 3".
var testCase1 = stressPlan{
	size: 100 << 20, record: 64 << 10, contexts: 10, offset: 2 << 20, iter: 8, batches: 100000,
	stages: 1<<stageRandWrite | 1<<stageRandRead,
}

// TestRand: the first values of rand() in C.
func TestRand(t *testing.T) {
	g := newRand31(1)
	for i, want := range []int64{1804289383, 846930886, 1681692777, 1714636915, 1957747793} {
		if got := g.next(); got != want {
			t.Errorf("rand() %d: %d, want %d", i, got, want)
		}
	}
}

// oracles finds the folder of the outside judges.
func oracles(t *testing.T) string {
	dir := os.Getenv("EXT4IMG_ORACLES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "oracles")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("judge missing: oracles")
	}
	return dir
}

// TestStressRequests: the patch's test case writes exactly the blocks that aio-stress
// itself wrote in the kernel.
func TestStressRequests(t *testing.T) {
	dir := oracles(t)
	for _, bs := range []int64{4096, 1024} {
		written := map[int64]bool{}
		g := newStressGens(testCase1, 1)[0]
		writes, reads := 0, 0
		for more := true; more; more = g.restart() {
			var batch []request
			for batch = g.next(batch, 1); len(batch) > 0; batch = g.next(batch, 1) {
				for _, r := range batch {
					if r.read {
						reads++
						continue
					}
					writes++
					for b := r.off / bs; b < (r.off+g.plan.record)/bs; b++ {
						written[b] = true
					}
				}
			}
		}
		if writes != 13120 || reads != 13120 {
			t.Errorf("%d writes, %d reads, want 13120 of each", writes, reads)
		}
		checkMap(t, filepath.Join(dir, "tc1", fmt.Sprintf("map-%d", bs)), written)
	}
}

// checkMap compares a set of written blocks with a map of the oracle.
func checkMap(t *testing.T, path string, written map[int64]bool) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	total := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		var first, count int64
		var state string
		if _, err := fmt.Sscan(s.Text(), &first, &count, &state); err != nil {
			t.Fatalf("%s: %q: %v", path, s.Text(), err)
		}
		for b := first; b < first+count; b++ {
			if written[b] != (state == "written") {
				t.Fatalf("%s: block %d is %s, requests wrote it: %v", path, b, state, written[b])
			}
		}
		if state == "written" {
			total += int(count)
		}
	}
	if total != len(written) {
		t.Errorf("%s: %d blocks written, requests wrote %d", path, total, len(written))
	}
}
