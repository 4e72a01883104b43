package judge

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Mount has the kernel show a file while fn runs, with options such as "ro,noload"; "" is for writing. Never mount what
// may be damaged. It skips the test where the kernel does not let us mount; that it does not like the image is a failure.
func Mount(t testing.TB, path, options string, fn func(root string)) {
	t.Helper()
	Need(t, "mount", "umount")
	if os.Geteuid() != 0 {
		t.Skip("judge missing: kernel mount (not root)")
	}
	root := t.TempDir()
	if out, err := exec.Command("mount", "-t", "ext4", "-o", strings.TrimSuffix("loop,"+options, ","), path, root).CombinedOutput(); err != nil {
		if refused(string(out)) {
			t.Skipf("judge missing: kernel mount: %s", out)
		}
		t.Fatalf("mount: %v: %s", err, out)
	}
	defer func() {
		if out, err := exec.Command("umount", root).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
			_ = exec.Command("umount", "--lazy", root).Run() // before the folder is removed
		}
	}()
	fn(root)
}

// refused says whether mount's words are about this machine, not the image.
func refused(words string) bool {
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return true
	}
	for _, w := range []string{"loop device", "not permitted", "permission denied", "unknown filesystem type"} {
		if strings.Contains(words, w) {
			return true
		}
	}
	return false
}
