package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ext4img/testimages/judge"
)

// debugfsWrite has debugfs change an image.
func debugfsWrite(t *testing.T, img string, cmds ...string) {
	t.Helper()
	judge.Feed(t, strings.Join(cmds, "\n")+"\n", "debugfs", "-w", "-f", "-", img)
}

// debugfsSays is what debugfs says of an image, without its banner.
func debugfsSays(t *testing.T, img, line string) string {
	t.Helper()
	return judge.Debugfs(t, img, line)
}

// sourceFile is a file of the host with mode 0644.
func sourceFile(t *testing.T, content string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "src")
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPutKeeps: a file that is there keeps mode, owner, attributes and links; flags change only what they name.
func TestPutKeeps(t *testing.T) {
	for _, features := range []string{"none", "inline_data", "^extents,^64bit", "^has_journal"} {
		img := newImage(t, "16M", "-O", features)
		src, long := sourceFile(t, "new secret\n"), sourceFile(t, strings.Repeat("long ", 5000))
		ok(t, "mkdir", img, "/etc")
		ok(t, "put --mode 640 --owner 0:42", sourceFile(t, "secret\n"), img, "/etc/shadow")
		ok(t, "xattr set", img, "/etc/shadow", "user.note", "kept")
		ok(t, "ln", img, "/etc/shadow", "/etc/hard")
		for _, c := range []struct{ flags, src, want string }{
			{"", src, "100640 2 0 42"}, {"", long, "100640 2 0 42"}, {"", src, "100640 2 0 42"}, {"--mode 4711", src, "104711 2 0 42"},
			{"--owner 7", src, "100711 2 7 42"}, {"--owner :8", src, "100711 2 7 8"}, {"--owner root:root", long, "100711 2 0 0"},
		} {
			ok(t, "put "+c.flags, c.src, img, "/etc/shadow")
			content, err := os.ReadFile(c.src)
			if err != nil {
				t.Fatal(err)
			}
			if got := ok(t, "cat", img, "/etc/hard"); got != string(content) {
				t.Errorf("%s: by the other name %d bytes, want %d", features, len(got), len(content))
			}
			ls := strings.Fields(debugfsSays(t, img, "stat /etc/shadow"))
			said := strings.Join(ls, " ")
			w := strings.Fields(c.want)
			for _, want := range []string{w[0][2:] + " Flags:", "Links: " + w[1], "User: " + w[2] + " Group: " + w[3], "user.note"} {
				if !strings.Contains(said, want) {
					t.Errorf("%s: put %s: no %q in %s", features, c.flags, want, said)
				}
			}
		}
		ok(t, "put", src, img, "/new")
		if said := debugfsSays(t, img, "stat /new"); !strings.Contains(said, "Mode:  0644") {
			t.Errorf("%s: a new file: %s", features, said)
		}
		fsck(t, img)
	}
}

// TestPutTargets: links are written through only on request, directories are written into, and what cannot be done
// changes no byte.
func TestPutTargets(t *testing.T) {
	img := newImage(t, "16M")
	src := sourceFile(t, "new\n")
	ok(t, "mkdir", img, "/d", "/d/src", "/e")
	ok(t, "put", sourceFile(t, "old\n"), img, "/f")
	for _, line := range []string{"ln -s IMG f /link", "ln -s IMG none /dangling", "ln -s IMG e /dirlink", "ln -s IMG loop /loop"} {
		ok(t, strings.ReplaceAll(line, "IMG", img))
	}
	for _, c := range []struct{ target, says string }{
		{"/link", "--follow"}, {"/dangling", "--follow"}, {"/loop", "--follow"}, {"/d", "is a directory"}, {"/none/f", "does not exist"},
		{"/f/", "not a directory"}, {"/new/", "does not exist"}, {"/" + strings.Repeat("n", 256), "name too long"},
	} {
		refused(t, img, "put "+src+" IMG "+c.target, []string{c.says})
	}
	ok(t, "put --follow", src, img, "/link")
	ok(t, "put --follow", src, img, "/dangling")
	ok(t, "put", src, img, "/dirlink")
	for _, name := range []string{"/f", "/none", "/e/src"} {
		if got := ok(t, "cat", img, name); got != "new\n" {
			t.Errorf("%s: %q", name, got)
		}
	}
	if said := debugfsSays(t, img, "stat /link"); !strings.Contains(said, "Type: symlink") {
		t.Errorf("the link is gone: %s", said)
	}
	fsck(t, img)
}

// TestClosedInput: a standard input that is closed, or no stream, makes nothing and is no success; an empty one is.
func TestClosedInput(t *testing.T) {
	img := newImage(t, "16M")
	ok(t, "put", sourceFile(t, "old\n"), img, "/f")
	before := sum(t, img)
	closed, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closed.Close()
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for _, line := range []string{"put - IMG /f", "put - IMG /new", "write IMG /f", "write IMG /new"} {
		for _, in := range []*os.File{closed, dir} {
			if in == dir && strings.HasPrefix(line, "write") {
				continue // it writes in place, and has begun to when the first read fails
			}
			r := cmd(t, in, strings.ReplaceAll(line, "IMG", img))
			if r.status != 1 || strings.Count(r.err, "\n") != 1 {
				t.Errorf("%s: status %d, %q", line, r.status, r.err)
			}
		}
	}
	if sum(t, img) != before {
		if names := ok(t, "ls", img, "/"); strings.Contains(names, "new") || ok(t, "cat", img, "/f") != "old\n" {
			t.Errorf("something is left, or gone: %q", names)
		}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if r := cmd(t, null, "put - "+img+" /empty"); r.status != 0 {
		t.Errorf("an empty input: status %d, %q", r.status, r.err)
	}
	if r := cmd(t, bytes.NewReader(nil), "put - "+img+" /lost+found"); r.status != 1 || !strings.Contains(r.err, syscall.EISDIR.Error()) {
		t.Errorf("no name in a directory: status %d, %q", r.status, r.err)
	}
	fsck(t, img)
}
