package stress

import (
	"fmt"
	"path/filepath"
	"testing"

	"ext4img/testimages/judge"
)

// testCase1 is "-I 100000 -O -s 100m -n -t 1 -c 10 -o 2 -o 3".
var testCase1 = Plan{
	Size: 100 << 20, Record: 64 << 10, Contexts: 10, Offset: 2 << 20, Iter: 8, Batches: 100000,
	Stages: 1<<stageRandWrite | 1<<stageRandRead,
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

// TestStressRequests: the patch's test case writes exactly the blocks that aio-stress
// itself wrote in the kernel.
func TestStressRequests(t *testing.T) {
	dir := judge.Oracles(t, "tc1")
	for _, bs := range []int64{4096, 1024} {
		written := map[int64]bool{}
		g := NewGenerators(testCase1, 1)[0]
		writes, reads := 0, 0
		for more := true; more; more = g.Restart() {
			var batch []Request
			for batch = g.Next(batch, 1); len(batch) > 0; batch = g.Next(batch, 1) {
				for _, r := range batch {
					if r.Read {
						reads++
						continue
					}
					writes++
					for b := r.Off / bs; b < (r.Off+testCase1.Record)/bs; b++ {
						written[b] = true
					}
				}
			}
		}
		if writes != 13120 || reads != 13120 {
			t.Errorf("%d writes, %d reads, want 13120 of each", writes, reads)
		}
		judge.WrittenBlocks(t, filepath.Join(dir, fmt.Sprintf("map-%d", bs)), written)
	}
}
