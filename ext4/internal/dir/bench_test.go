package dir_test

import (
	"fmt"
	"testing"

	"ext4img/ext4/internal/stack"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// BenchmarkAdd adds names to one hashed directory, a hundred in each handle.
func BenchmarkAdd(b *testing.B) {
	w := newWorld(b, stack.Mke2fs(b, "1G", "-b", "4096"))
	d := w.mkdir(b, layout.RootIno, "d")
	f := w.mkfiles(b, 1)
	i := 0
	for b.Loop() {
		w.Must(b, func(h *journal.Handle) error {
			for range 100 {
				if err := w.Dirs.Add(h, d, fmt.Sprintf("a-file-name-%d", i), f[0], layout.FTRegular); err != nil {
					return err
				}
				i++
			}
			return nil
		})
	}
}
