package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ext4img/testimages/judge"
)

// TestImportUnreadable: an ordinary user imports a tree of which a part is not for them: each file and directory that cannot
// be read is named once, the rest is there, the exit status is 1.
func TestImportUnreadable(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("judge missing: root")
	}
	dir, err := os.MkdirTemp("", "ext4img-unreadable-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program, img, src := filepath.Join(dir, "ext4img"), newImage(t, "16M"), filepath.Join(dir, "src")
	mine := filepath.Join(dir, "img")
	build := judge.Command(t, "go", "build", "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	for _, err := range []error{
		os.Chmod(dir, 0o755), os.Rename(img, mine), os.Chmod(mine, 0o666), os.MkdirAll(filepath.Join(src, "locked", "in"), 0o755),
		os.MkdirAll(filepath.Join(src, "open"), 0o755), os.WriteFile(filepath.Join(src, "open", "f"), []byte("f"), 0o644),
		os.WriteFile(filepath.Join(src, "secret"), []byte("s"), 0o600), os.WriteFile(filepath.Join(src, "large"), make([]byte, 3<<20), 0o600),
		os.WriteFile(filepath.Join(src, "zz"), []byte("z"), 0o644), os.Chmod(filepath.Join(src, "locked"), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c := judge.Command(t, program, "import", src, mine, "/")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, _ := c.CombinedOutput()
	if c.ProcessState == nil || c.ProcessState.ExitCode() != 1 || strings.Count(string(out), "\n") != 3 {
		t.Errorf("import: %v\n%s", c.ProcessState, out)
	}
	for _, name := range []string{"locked", "secret", "large"} {
		if n := strings.Count(string(out), filepath.Join(src, name)+": permission denied\n"); n != 1 {
			t.Errorf("%s is named %d times:\n%s", name, n, out)
		}
	}
	for path, want := range map[string]string{"/open/f": "f", "/zz": "z"} {
		if got := ok(t, "cat", mine, path); got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
	fsck(t, mine)
}
