package inode

import (
	"strings"
	"testing"

	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/judge"
)

// TestKernelFreesOrphans lets the kernel free the orphans of the list and of the file. It checks the file's blocks
// more strictly than e2fsck.
func TestKernelFreesOrphans(t *testing.T) {
	for _, args := range [][]string{nil, {"-O", "orphan_file"}, {"-O", "orphan_file,^metadata_csum"}} {
		w := mkfs(t, 8<<20, args...)
		for range 30 {
			ino := w.make(layout.ModeRegular, 0)
			w.must(func(h *journal.Handle) error { return w.tab.AddOrphan(h, ino) })
		}
		path := w.Save(w.t)
		judge.Mount(t, path, "", func(string) {})
		judge.Fsck(t, path)
		if out := judge.Run(t, "dumpe2fs", "-h", path); strings.Contains(out, "First orphan inode") || strings.Contains(out, "orphan_present") {
			t.Errorf("mke2fs %v: orphans are left:\n%s", args, out)
		}
	}
}
