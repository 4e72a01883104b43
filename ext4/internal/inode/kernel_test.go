package inode

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// TestKernelFreesOrphans lets the kernel free the orphans of the list and of the file, whose blocks it checks more
// strictly than e2fsck.
func TestKernelFreesOrphans(t *testing.T) {
	if _, err := exec.LookPath("mount"); err != nil || os.Geteuid() != 0 {
		t.Skip("judge missing: mount")
	}
	for _, args := range [][]string{nil, {"-O", "orphan_file"}, {"-O", "orphan_file,^metadata_csum"}} {
		w := mkfs(t, 8<<20, args...)
		for range 30 {
			ino := w.make(layout.ModeRegular, 0)
			w.must(func(h *journal.Handle) error { return w.tab.AddOrphan(h, ino) })
		}
		path := w.save()
		root := filepath.Join(t.TempDir(), "mnt")
		if err := os.Mkdir(root, 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("mount", "-o", "loop", path, root).CombinedOutput(); err != nil {
			if strings.Contains(string(out), "loop") || strings.Contains(string(out), "permitted") {
				t.Skip("judge missing: mount")
			}
			t.Fatalf("mke2fs %v: mount: %v: %s", args, err, out)
		}
		run(t, "umount", root)
		run(t, "e2fsck", "-fn", path)
		if out := run(t, "dumpe2fs", "-h", path); strings.Contains(out, "First orphan inode") || strings.Contains(out, "orphan_present") {
			t.Errorf("mke2fs %v: orphans are left:\n%s", args, out)
		}
	}
}
