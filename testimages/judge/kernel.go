package judge

import (
	"os"
	"os/exec"
	"path/filepath"
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
	if out, err := MountLoop("-t", "ext4", "-o", strings.TrimSuffix("loop,"+options, ","), path, root); err != nil {
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

// MountLoop runs mount(8) with these arguments, one at a time over all processes that test: two that look for a free loop
// device at once may find the same one.
func MountLoop(args ...string) ([]byte, error) {
	args = append([]string{filepath.Join(os.TempDir(), "ext4img-mount.lock"), "mount"}, args...)
	if _, err := exec.LookPath("flock"); err != nil {
		return exec.Command(args[1], args[2:]...).CombinedOutput()
	}
	return exec.Command("flock", args...).CombinedOutput()
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
