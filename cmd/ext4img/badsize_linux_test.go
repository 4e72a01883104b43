package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ext4img/testimages/judge"
)

// TestBadSizeCommands reads a file whose size is one that no file can have: what copies it ends and names the size, what
// lists goes on, and the files beside it come out whole.
func TestBadSizeCommands(t *testing.T) {
	judge.Need(t, "debugfs")
	for _, kind := range []string{"extent", "^extent,^64bit"} {
		for _, size := range []string{"9223372036854775808", "9223372036854776099", "4611686018427387904", "18446744073709551615"} {
			t.Run(kind+"/"+size, func(t *testing.T) {
				img := newImage(t, "16M", "-O", kind, "-b", "1024")
				content := strings.Repeat("contents ", 1000)
				for _, p := range []string{"/f", "/other"} {
					if r := cmd(t, strings.NewReader(content), "put -", img, p); r.status != 0 {
						t.Fatalf("put %s: %+v", p, r)
					}
				}
				judge.Run(t, "debugfs", "-w", "-R", "sif /f size "+size, img)
				dir := t.TempDir()
				copied, tree := filepath.Join(dir, "f"), filepath.Join(dir, "tree")
				for _, line := range [][]string{{"cat", img, "/f"}, {"get", img, "/f", copied}, {"export", img, "/", tree}, {"export --tar", img, "/", "-"}} {
					r := cmd(t, strings.NewReader(""), line[0], line[1:]...)
					if r.status != 1 || !strings.Contains(r.err, "a size of "+size+" bytes") {
						t.Errorf("%s: status %d: %s", line[0], r.status, r.err)
					}
					if line[0] == "cat" && strings.TrimRight(r.out, "\x00") != content || len(r.out) > 1<<20 {
						t.Errorf("%s: %d bytes", line[0], len(r.out))
					}
				}
				if got, err := os.ReadFile(filepath.Join(tree, "other")); err != nil || string(got) != content {
					t.Errorf("other: %d bytes: %v", len(got), err)
				}
				if _, err := os.Lstat(copied); !os.IsNotExist(err) {
					t.Errorf("get has left something: %v", err)
				}
				for _, line := range []string{"stat", "extents", "extents --json"} {
					ok(t, line, img, "/f")
				}
				ok(t, "ls -l", img, "/")
			})
		}
	}
}
