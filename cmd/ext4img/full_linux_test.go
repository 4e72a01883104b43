package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFullOutput: results that cannot be written fail every command that has some, in one line; fsck(8) has a status of its
// own for that.
func TestFullOutput(t *testing.T) {
	img := newImage(t, "16M")
	ok(t, "mkdir", img, "/d")
	if r := cmd(t, bytes.NewReader(make([]byte, 100000)), "put -", img, "/d/f"); r.status != 0 {
		t.Fatalf("put: %+v", r)
	}
	ok(t, "xattr set", img, "/d/f", "user.a", "value")
	broken := filepath.Join(t.TempDir(), "broken.img")
	data, err := os.ReadFile(img)
	if err == nil {
		err = os.WriteFile(broken, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	flip(t, broken, 4096, 30)
	for line, want := range map[string]int{
		"info IMG": 1, "info --json IMG": 1, "ls IMG": 1, "ls -lR IMG": 1, "ls --json IMG": 1, "ls IMG / /missing": 1, "stat IMG /d": 1, "stat --json IMG /d": 1,
		"cat IMG /d/f": 1, "cat IMG /d/f /missing /d/f": 1, "tree IMG": 1, "tree --json IMG": 1, "extents IMG /d/f": 1, "extents --all IMG": 1, "extents --json IMG /d/f": 1,
		"dump super IMG": 1, "dump inode 2 IMG": 1, "dump block 0 IMG": 1, "dump group 0 IMG": 1, "journal show IMG": 1, "journal show --json IMG": 1,
		"xattr list IMG /d/f": 1, "xattr get IMG /d/f user.a": 1, "xattr list --json IMG /d/f": 1, "get IMG /d/f -": 1, "export --tar IMG / -": 1,
		"completion bash": 1, "man": 1, "--help": 1, "ls --help": 1, "--version": 1,
		"verify IMG": 8, "verify --json IMG": 8, "fsck IMG": 8, "verify BROKEN": 8, "verify --json BROKEN": 8, "verify --json /missing": 8,
	} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip("no /dev/full")
		}
		var errs bytes.Buffer
		args := strings.Fields(strings.ReplaceAll(strings.ReplaceAll(line, "IMG", img), "BROKEN", broken))
		status := run(append([]string{name}, args...), stdio{nil, full, &errs}, make(chan os.Signal))
		if status != want || strings.Count(errs.String(), "ext4img: standard output: no space left on device\n") != 1 {
			t.Errorf("%s: status %d, want %d: %q", line, status, want, errs.String())
		}
		if err := full.Close(); err != nil {
			t.Error(err)
		}
	}
	if r := cmd(t, nil, "verify /missing"); r.status != 8 || r.out != "" {
		t.Errorf("verify of what is missing: %+v", r)
	}
}
