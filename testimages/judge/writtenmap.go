package judge

import (
	"bufio"
	"fmt"
	"os"
	"testing"
)

// WrittenBlocks compares a set of written blocks with a recorded map: lines of first block, number of blocks, and state.
func WrittenBlocks(t testing.TB, path string, written map[int64]bool) {
	t.Helper()
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
