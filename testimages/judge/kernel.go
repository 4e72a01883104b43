package judge

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Mount has the kernel mount an image while fn runs, with options such as "ro,noload"; "" mounts for writing. Never
// mount an image that may be damaged. If the machine does not allow mounts, the test is skipped; if the kernel
// refuses the image, it fails.
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
			_ = exec.Command("umount", "--lazy", root).Run() // runs before the folder is removed
		}
	}()
	fn(root)
}

// MountLoop runs mount(8) with these arguments, one call at a time over all processes that run tests: two calls that
// look for a free loop device at the same time may find the same one.
func MountLoop(args ...string) ([]byte, error) {
	args = append([]string{filepath.Join(os.TempDir(), "ext4img-mount.lock"), "mount"}, args...)
	if _, err := exec.LookPath("flock"); err != nil {
		return exec.Command(args[1], args[2:]...).CombinedOutput()
	}
	return exec.Command("flock", args...).CombinedOutput()
}

// refused reports whether mount's message is about this machine and not about the image.
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
