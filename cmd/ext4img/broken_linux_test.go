package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ext4img/testimages/judge"
)

// brokenTree is what the images are filled with: names that come before, beside and after the one that is broken.
var brokenTree = []string{
	"/d", "/d/a", "/d/b", "/d/bad", "/d/c", "/d/link", "/d/sub", "/d/sub/x", "/d/sub/y", "/d/z", "/e", "/e/last", "/e/other", "/lost+found",
}

// brokenImage has brokenTree: bad is a file of many extents with attributes in a block, link a symbolic link with its target
// in a block, sub a directory of two names.
func brokenImage(t *testing.T, flags ...string) string {
	t.Helper()
	judge.Need(t, "debugfs")
	img := newImage(t, "16M", append([]string{"-b", "1024"}, flags...)...)
	ok(t, "mkdir", img, "/d", "/d/sub", "/e")
	for _, p := range []string{"/d/a", "/d/b", "/d/bad", "/d/c", "/d/sub/x", "/d/sub/y", "/d/z", "/e/last", "/e/other"} {
		if r := cmd(t, strings.NewReader("content of "+p+"\n"), "put -", img, p); r.status != 0 {
			t.Fatalf("put %s: %+v", p, r)
		}
		ok(t, "xattr set", img, p, "user.short", "s")
		ok(t, "xattr set", img, p, "user.long", p+strings.Repeat("x", 500))
	}
	for i := range 12 {
		ok(t, "fallocate -l 1K -o", fmt.Sprintf("%dK", 4*i+4), img, "/d/bad")
	}
	ok(t, "ln -s", img, "/"+strings.Repeat("t", 100), "/d/link")
	fsck(t, img)
	return img
}

// byteOf is the place of a file's inode.
func byteOf(t *testing.T, img, path string) int64 {
	t.Helper()
	m := regexp.MustCompile(`located at block (\d+), offset 0x([0-9a-f]+)`).FindStringSubmatch(judge.Debugfs(t, img, "imap "+path))
	if m == nil {
		t.Fatalf("imap %s", path)
	}
	block, _ := strconv.ParseInt(m[1], 10, 64)
	off, _ := strconv.ParseInt(m[2], 16, 64)
	return block<<10 + off
}

// blockOf is the place of the first block of a file.
func blockOf(t *testing.T, img, path string) int64 {
	t.Helper()
	first, _, _ := strings.Cut(strings.TrimSpace(judge.Debugfs(t, img, "blocks "+path)), " ")
	n, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		t.Fatalf("blocks %s: %v", path, err)
	}
	return n << 10
}

// flip inverts bytes of the image.
func flip(t *testing.T, img string, at int64, n int) {
	t.Helper()
	f, err := os.OpenFile(img, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, n)
	_, err = f.ReadAt(p, at)
	for i := range p {
		p[i] ^= 0xFF
	}
	_, e := f.WriteAt(p, at)
	if err := errorsOf(err, e, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// breakage is one way to break the tree.
type breakage struct {
	name  string
	bad   string // the path that suffers; its name stays in its directory
	fails string // the commands that suffer: s stat, of every command that looks at the inode; c cat; e extents; x xattr; d what is in it; l target
	how   func(t *testing.T, img string)
}

func breakages() []breakage {
	change := func(lines ...string) func(t *testing.T, img string) {
		return func(t *testing.T, img string) { judge.Change(t, img, strings.Join(lines, "\n")+"\n") }
	}
	return []breakage{
		{"inode checksum of a file", "/d/bad", "scex", func(t *testing.T, img string) { flip(t, img, byteOf(t, img, "/d/bad")+0x64, 1) }},
		{"inode checksum of a directory", "/d/sub", "sdx", func(t *testing.T, img string) { flip(t, img, byteOf(t, img, "/d/sub")+0x64, 1) }},
		{"inode checksum of a link", "/d/link", "slx", func(t *testing.T, img string) { flip(t, img, byteOf(t, img, "/d/link")+0x64, 1) }},
		{"inode all ones", "/d/bad", "scex", func(t *testing.T, img string) { flip(t, img, byteOf(t, img, "/d/bad"), 256) }},
		{"inode free", "/d/bad", "scex", change("sif /d/bad mode 0", "sif /d/bad links_count 0")},
		{"entry for an inode that is free", "/d/bad", "scex", change("unlink /d/bad", "ln <10> /d/bad")},
		{"extent root of a file", "/d/bad", "ce", change("sif /d/bad block[0] 0")},
		{"extent root of a directory", "/d/sub", "d", change("sif /d/sub block[0] 0")},
		{"extent root of a link", "/d/link", "l", change("sif /d/link block[0] 0")},
		{"extent depth of a file", "/d/bad", "ce", change("sif /d/bad block[1] 0x70004")},
		{"extent node of a file", "/d/bad", "ce", func(t *testing.T, img string) {
			m := regexp.MustCompile(`ETB0\):(\d+)`).FindStringSubmatch(judge.Debugfs(t, img, "stat /d/bad"))
			if m == nil {
				t.Fatal("no extent node")
			}
			n, _ := strconv.ParseInt(m[1], 10, 64)
			flip(t, img, n<<10, 2)
		}},
		{"attribute block", "/d/bad", "x", func(t *testing.T, img string) {
			m := regexp.MustCompile(`File ACL: (\d+)`).FindStringSubmatch(judge.Debugfs(t, img, "stat /d/bad"))
			n, _ := strconv.ParseInt(m[1], 10, 64)
			flip(t, img, n<<10+100, 8)
		}},
		{"attribute block beyond the end", "/d/bad", "x", change("sif /d/bad file_acl 99999999")},
		{"directory block checksum", "/d/sub", "d", func(t *testing.T, img string) { flip(t, img, blockOf(t, img, "/d/sub")+700, 1) }},
		{"directory block zeros", "/d/sub", "d", func(t *testing.T, img string) {
			at := blockOf(t, img, "/d/sub")
			if f, err := os.OpenFile(img, os.O_RDWR, 0); err != nil {
				t.Fatal(err)
			} else if _, err := f.WriteAt(make([]byte, 1024), at); err != nil || f.Close() != nil {
				t.Fatal(err)
			}
		}},
	}
}

// brokenLine is a command line of the test.
type brokenLine struct {
	line  string
	more  []string // paths; each is looked at, if there are some
	fails string   // the letters of breakage.fails that it suffers from
}

// TestBroken: whatever one object is broken, all the rest is shown, the broken one is named once with a reason, and the
// exit status is 1; commands that do not touch what is broken succeed.
func TestBroken(t *testing.T) {
	files := []string{"/d/a", "/d/bad", "/d/z", "/e/last"}
	all := slices.DeleteFunc(slices.Clone(brokenTree), func(p string) bool { return p == "/d/sub/x" || p == "/d/sub/y" })
	lines := []brokenLine{
		{"ls", []string{"/d", "/e"}, "s"}, {"ls -l", []string{"/d", "/e"}, "sl"}, {"ls -i", []string{"/e", "/d"}, "s"}, {"ls --json", []string{"/d", "/e"}, "sl"},
		{"ls -R", nil, "sd"}, {"ls -lR", nil, "sdl"}, {"ls -R --json", nil, "sdl"}, {"tree", nil, "sdl"}, {"tree --json", nil, "sdl"},
		{"extents --all", nil, "sed"}, {"extents --all --json", nil, "sed"}, {"extents", files, "e"}, {"extents --tree --holes", files, "e"},
		{"cat", files, "c"}, {"stat", all, "sl"}, {"stat --json", all, "sl"}, {"xattr list -h", all, "x"}, {"xattr list -h --json", all, "x"},
		{"ls -ld", all, "sl"},
	}
	whole := brokenImage(t)
	for _, b := range breakages() {
		img := filepath.Join(t.TempDir(), "broken.img")
		data, err := os.ReadFile(whole)
		if err == nil {
			err = os.WriteFile(img, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		b.how(t, img)
		before := sum(t, img)
		for _, l := range lines {
			r := cmd(t, nil, l.line, append([]string{img}, l.more...)...)
			t.Run(b.name+": "+l.line, func(t *testing.T) {
				checkBroken(t, b, l, r)
				if t.Failed() {
					t.Logf("%.4000s%s", r.out, r.err)
				}
			})
		}
		if sum(t, img) != before {
			t.Errorf("%s: the image changed", b.name)
		}
	}
}

func checkBroken(t *testing.T, b breakage, l brokenLine, r result) {
	suffers := strings.ContainsAny(b.fails, l.fails) && (l.more == nil || strings.HasPrefix(l.line, "ls") || slices.Contains(l.more, b.bad))
	switch {
	case !suffers && (r.status != 0 || r.err != ""):
		t.Errorf("status %d, %q, and nothing is broken for it", r.status, r.err)
	case suffers && (r.status != 1 || strings.Count(r.err, "\n") != 1):
		t.Errorf("status %d, %d lines: %s", r.status, strings.Count(r.err, "\n"), r.err)
	case suffers && !regexp.MustCompile(`^ext4img: [a-z ]+ `+b.bad+`: .*[a-z]{3}`).MatchString(r.err):
		t.Errorf("%q does not name %s with a reason", r.err, b.bad)
	}
	if strings.Contains(l.line, "--json") && !json.Valid([]byte(r.out)) {
		t.Errorf("no JSON document")
	}
	for _, p := range brokenTree {
		inside := p == b.bad || strings.HasPrefix(p, b.bad+"/")
		if shows(l, p) && !(suffers && inside) && !strings.Contains(r.out, shownAs(l, p)) {
			t.Errorf("%s is missing", p)
		}
	}
	if suffers && strings.HasPrefix(l.line, "ls") && !strings.HasPrefix(l.line, "ls -ld") && !strings.Contains(r.out, filepath.Base(b.bad)) {
		t.Errorf("the name of %s is missing, it can be read", b.bad)
	}
}

// shows tells whether a command shows a path.
func shows(l brokenLine, p string) bool {
	regular := !slices.Contains([]string{"/d", "/d/link", "/d/sub", "/e", "/lost+found"}, p)
	switch {
	case strings.HasPrefix(l.line, "ls -ld"):
		return slices.Contains(l.more, p)
	case strings.HasPrefix(l.line, "ls") && l.more != nil:
		return filepath.Dir(p) == "/d" || filepath.Dir(p) == "/e"
	case strings.HasPrefix(l.line, "extents --all"):
		return regular
	case strings.HasPrefix(l.line, "xattr"):
		return regular && slices.Contains(l.more, p)
	}
	return l.more == nil || slices.Contains(l.more, p)
}

// shownAs is the text that tells that a path was shown.
func shownAs(l brokenLine, p string) string {
	switch {
	case l.line == "cat":
		return "content of " + p + "\n"
	case strings.Contains(l.line, "--json") && l.line != "tree --json":
		return fmt.Sprintf("%q", p)
	case strings.HasPrefix(l.line, "stat"), strings.HasPrefix(l.line, "extents"), strings.HasPrefix(l.line, "xattr"), strings.HasPrefix(l.line, "ls -ld"):
		return p
	}
	return filepath.Base(p)
}
