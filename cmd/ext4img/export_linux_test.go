package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ext4img/aio"
	"ext4img/aio/simdev"
	"ext4img/ext4"
	"ext4img/ext4/layout"
	"ext4img/ext4/tree"
	"ext4img/testimages/effort"
	"ext4img/testimages/judge"

	"golang.org/x/sys/unix"
)

// contents maps the paths of regular files and symbolic links below a directory to what they hold.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel := p[len(dir)+1:]
		if d.Type()&fs.ModeSymlink != 0 {
			all[rel], err = os.Readlink(p)
			return err
		}
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Size() > largest { // a hole, mostly
			all[rel] = fmt.Sprintf("%d bytes", info.Size())
			return nil
		}
		b, err := os.ReadFile(p)
		all[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// damagedTree is a tree of one of each, and one file after all of them.
func damagedTree(t *testing.T) string {
	src := t.TempDir()
	p := func(name string) string { return filepath.Join(src, name) }
	big := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	err := errorsOf(os.MkdirAll(p("dir/sub"), 0o755), os.WriteFile(p("dir/in"), []byte("in"), 0o644), os.WriteFile(p("dir/sub/deep"), big, 0o644),
		os.WriteFile(p("f1"), big, 0o644), os.WriteFile(p("f2"), big, 0o644), os.WriteFile(p("f3"), []byte("three"), 0o644),
		os.Link(p("f2"), p("g2")), os.Symlink(strings.Repeat("t/", 100), p("link")), os.Symlink("short", p("quick")), os.WriteFile(p("zlast"), []byte("last"), 0o644),
		unix.Setxattr(p("f3"), "user.note", bytes.Repeat([]byte("v"), 900), 0))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// TestExportDamaged: what is broken is named once, all the rest is exported, both ways, and so is what debugfs brings.
func TestExportDamaged(t *testing.T) {
	src := damagedTree(t)
	want := contents(t, src)
	for _, c := range []struct {
		name, options, change string
		lost                  []string // paths that cannot be had
		named                 []string // the beginnings of the messages
	}{
		{"inode", "", "sif f1 checksum 1", []string{"f1"}, []string{"/f1: "}},
		{"inode of two names", "", "sif f2 checksum 1", []string{"f2", "g2"}, []string{"/f2: ", "/g2: "}},
		{"extent root", "metadata_csum,", "sif f1 block[0] 0", []string{"f1"}, []string{"/f1: "}},
		{"extent beyond the end", "", "sif f1 block[5] 0x7fffffff", []string{"f1"}, []string{"/f1: "}},
		{"attributes", "", "sif f3 file_acl 5", nil, []string{"/f3: attribute"}},
		{"attributes out of range", "", "sif f3 file_acl 99999999", nil, []string{"/f3: attribute"}},
		{"directory", "", "sif dir block[5] 0x7fffffff", []string{"dir/in", "dir/sub/deep"}, []string{"/dir: "}},
		{"directory's inode", "", "sif dir checksum 1", []string{"dir/in", "dir/sub/deep"}, []string{"/dir: "}},
		{"type", "", "sif f1 mode 0170644", []string{"f1"}, []string{"/f1: "}},
		{"symbolic link", "", "sif link size 0", []string{"link"}, []string{"/link: "}},
		{"counts of a group", "^metadata_csum,", "set_bg 0 free_inodes_count 40000", nil, nil},
		{"bitmap of a group", "^metadata_csum,", "set_bg 0 inode_bitmap 99999999", nil, nil},
		{"no links", "", "sif f3 links_count 0", nil, nil},
		{"size", "", "sif f3 size 0x7fffffffffffffff", []string{"f3"}, []string{"/f3: "}},
	} {
		for _, bs := range []string{"1024", "4096"} {
			t.Run(c.name+" "+bs, func(t *testing.T) {
				img := judge.Mke2fs(t, "8M", "-b", bs, "-O", c.options+"^resize_inode", "-d", src)
				judge.Change(t, img, c.change+"\n")
				dir := t.TempDir()
				out, ref, archive := filepath.Join(dir, "out"), filepath.Join(dir, "ref"), filepath.Join(dir, "x.tar")
				if err := os.Mkdir(ref, 0o755); err != nil {
					t.Fatal(err)
				}
				rdump(t, img, ref)
				namesOnce(t, cmd(t, nil, "export", img, "/", out), c.named)
				exports(t, contents(t, out), want, contents(t, ref), c.lost)
				namesOnce(t, cmd(t, nil, "export --tar", img, "/", archive), c.named)
				if c.name != "size" { // an archive has no limit
					exports(t, untar(t, archive), want, contents(t, ref), c.lost)
				}
			})
		}
	}
}

// largest is the size that no file of these tests gets to, bytes: one that a mutated inode claims would fill the host.
const largest = 64 << 20

// rdump has debugfs bring a tree, as far as it does, in a minute and with no file of more than largest bytes.
func rdump(t *testing.T, img, dst string) {
	t.Helper()
	judge.Need(t, "debugfs", "prlimit", "timeout")
	_ = judge.Command(t, "timeout", "60", "prlimit", fmt.Sprintf("--fsize=%d", largest), "debugfs", "-c", "-R", "rdump / "+dst, img).Run() // it may die of what it reads
}

// namesOnce checks the status of an export and that each message begins with one of named, in order.
func namesOnce(t *testing.T, r result, named []string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(r.err, "\n"), "\n")
	if r.err == "" {
		lines = nil
	}
	good := len(lines) == len(named) && r.status == min(len(named), 1)
	for i := range lines {
		good = good && strings.HasPrefix(lines[i], "ext4img: export "+named[i])
	}
	if !good {
		t.Errorf("status %d, messages:\n%swant those of %q", r.status, r.err, named)
	}
}

// exports checks that all was exported but what is lost, and whatever else has it right.
func exports(t *testing.T, got, want, other map[string]string, lost []string) {
	t.Helper()
	rest := map[string]bool{}
	for p := range want {
		rest[p] = true
	}
	for _, p := range lost {
		delete(rest, p)
		if v, ok := got[p]; ok && v != want[p] {
			t.Errorf("%s: exported with %d wrong bytes", p, len(v))
		}
	}
	for p := range want {
		if v, ok := got[p]; rest[p] && (!ok || v != want[p]) || other[p] == want[p] && other[p] != "" && v != want[p] {
			t.Errorf("%s: missing or wrong", p)
		}
	}
}

// untar has GNU tar extract an archive.
func untar(t *testing.T, archive string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	judge.Run(t, "tar", "-C", dir, "-xf", archive)
	return contents(t, dir)
}

// TestExportReadErrors: a file that the device cannot read is left out of a directory, and completed with zeros in an
// archive; it is named, and the rest is there.
func TestExportReadErrors(t *testing.T) {
	src := damagedTree(t)
	want := contents(t, src)
	dev := simdev.FromImage(judge.Load(t, judge.Mke2fs(t, "8M", "-b", "4096", "-d", src)))
	f, err := ext4.Open(dev, ext4.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := int64(0)
	file, err := f.OpenFile("/f1", os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	err = file.Extents(func(e layout.Extent) bool { at = int64(e.Pblk) * 4096; return false })
	if err := errorsOf(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken sector")
	dev.SetFault(func(io simdev.IO) error {
		if io.Op == aio.Read && io.Off < at+40000 && io.Off+int64(io.Len) > at+30000 {
			return broken
		}
		return nil
	})
	var failed []string
	o := tree.ExportOptions{Failed: func(p string, err error) error {
		if !errors.Is(err, broken) {
			t.Errorf("%s: %v", p, err)
		}
		failed = append(failed, p)
		return nil
	}}
	out := filepath.Join(t.TempDir(), "out")
	if err := tree.ExportDir(t.Context(), f, "/", out, o); err != nil {
		t.Fatal(err)
	}
	exports(t, contents(t, out), want, nil, []string{"f1"})
	var archive bytes.Buffer
	if err := tree.ExportTar(t.Context(), f, "/", &archive, o); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "x.tar")
	if err := os.WriteFile(name, archive.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	got := untar(t, name)
	if len(got["f1"]) != len(want["f1"]) {
		t.Errorf("archive: f1 has %d bytes of %d", len(got["f1"]), len(want["f1"]))
	}
	want["f1"] = got["f1"]
	exports(t, got, want, nil, nil)
	if fmt.Sprint(failed) != "[/f1 /f1]" {
		t.Errorf("named: %v", failed)
	}
}

// TestExportGraph: directories that are reached twice are entered once, named, and a signal ends an export.
func TestExportGraph(t *testing.T) {
	graph := ""
	for i := range 41 {
		graph += fmt.Sprintf("mkdir /l%d\n", i)
	}
	for i := range 40 {
		graph += fmt.Sprintf("link /l%d /l%d/a\nlink /l%d /l%d/b\n", i+1, i, i+1, i)
	}
	for name, c := range map[string]struct {
		change string
		dirs   int
	}{"graph": {graph, 43}, "cycle": {"mkdir /a\nmkdir /a/b\nlink /a /a/b/loop\nlink / /a/b/root\n", 4}} {
		img := judge.Mke2fs(t, "8M")
		judge.Change(t, img, c.change)
		for _, how := range []string{"export", "export --tar"} {
			dst := filepath.Join(t.TempDir(), "dst")
			r := cmd(t, nil, how, img, "/", dst)
			if r.status != 1 || !strings.Contains(r.err, "entered by another name") {
				t.Errorf("%s, %s: status %d, %.500q", how, name, r.status, r.err)
			}
			var dirs string
			if how == "export" {
				dirs = judge.Run(t, "find", dst, "-type", "d")
			} else {
				dirs = judge.Run(t, "tar", "-tf", dst)
			}
			if n := strings.Count(dirs, "\n"); n != c.dirs {
				t.Errorf("%s, %s: %d directories, want %d", how, name, n, c.dirs)
			}
		}
		signals := make(chan os.Signal, 1)
		signals <- syscall.SIGTERM
		var out, errs bytes.Buffer
		dst := filepath.Join(t.TempDir(), "dst")
		if status := run([]string{"ext4img", "export", img, "/", dst}, stdio{nil, &out, &errs}, signals); status != 143 && status != 1 {
			t.Errorf("%s, interrupted: status %d, %q", name, status, errs.String())
		}
	}
}

// TestExportDeep: a tree deeper than a path can be long goes out both ways.
func TestExportDeep(t *testing.T) {
	depth := 2200
	if effort.Long() {
		depth = 5000
	}
	img := newImage(t, "64M", "-b", "1024", "-N", "8000")
	dev, err := aio.Open(img, aio.Options{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	f, err := ext4.Open(dev, ext4.Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := f.Inode(ext4.RootIno)
	for range depth {
		if at, err = at.Mkdir("d", ext4.Attr{Perm: 0o751}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := at.Symlink("target", "end", ext4.Attr{}); err != nil {
		t.Fatal(err)
	}
	if err := errorsOf(f.Close(), dev.Close()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	defer judge.Command(t, "rm", "-rf", out).Run()
	ok(t, "export", img, "/", out)
	listing := judge.Run(t, "find", out, "-name", "d", "-perm", "751", "-printf", "%d\n")
	if n := strings.Count(listing, "\n"); n != depth || !strings.HasSuffix(listing, fmt.Sprintf("\n%d\n", depth)) {
		t.Errorf("%d directories below each other, want %d", n, depth)
	}
	if end := judge.Run(t, "find", out, "-type", "l", "-printf", "%d %l\n"); end != fmt.Sprintf("%d target\n", depth+1) {
		t.Errorf("at the end: %q", end)
	}
	ok(t, "export --tar", img, "/", filepath.Join(dir, "x.tar"))
	if n := strings.Count(judge.Run(t, "tar", "-tf", filepath.Join(dir, "x.tar")), "\n"); n != depth+3 {
		t.Errorf("archive: %d members, want %d", n, depth+3)
	}
}

// rename changes names in directory entries, byte by byte, without a checksum to mind: each new one is as long as the old.
func renameRaw(t *testing.T, img string, names map[string]string) {
	t.Helper()
	b, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	for old, now := range names {
		entry := func(name string) []byte { return append([]byte{byte(len(name))}, name...) }
		if len(old) != len(now) {
			t.Fatal(old, now)
		}
		typed := func(name string) []byte { e := entry(name); return append([]byte{e[0], 1}, e[1:]...) }
		dirs := func(name string) []byte { e := entry(name); return append([]byte{e[0], 2}, e[1:]...) }
		b = bytes.ReplaceAll(bytes.ReplaceAll(b, typed(old), typed(now)), dirs(old), dirs(now))
	}
	if err := os.WriteFile(img, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestExportConfined: whatever names the image has, and whatever links stand in DST, nothing outside is touched.
func TestExportConfined(t *testing.T) {
	src, dir := t.TempDir(), t.TempDir()
	p := func(name string) string { return filepath.Join(src, name) }
	err := errorsOf(os.MkdirAll(p("up/inner"), 0o755), os.MkdirAll(p("links"), 0o755), os.WriteFile(p("a-b"), []byte("evil"), 0o644),
		os.WriteFile(p("nul-x"), []byte("evil"), 0o644), os.WriteFile(p("up/inner/file"), []byte("evil"), 0o644),
		os.WriteFile(p("..-..-etc-evil"), []byte("evil"), 0o644),
		os.Symlink("../outside", p("links/same1")), os.MkdirAll(p("links/same2"), 0o755), os.WriteFile(p("links/same2/victim"), []byte("evil"), 0o644),
		os.WriteFile(p("file"), []byte("evil"), 0o644), os.MkdirAll(p("sub"), 0o755), os.WriteFile(p("sub/victim"), []byte("evil"), 0o644), os.WriteFile(p("zlast"), []byte("last"), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	img := judge.Mke2fs(t, "8M", "-O", "^metadata_csum,^dir_index", "-d", src)
	renameRaw(t, img, map[string]string{"up": "..", "a-b": "a/b", "nul-x": "nul\x00x", "same2": "same1", "..-..-etc-evil": "../../etc/evil"})
	outside := filepath.Join(dir, "outside")
	dst := filepath.Join(dir, "dst")
	err = errorsOf(os.Mkdir(outside, 0o755), os.WriteFile(filepath.Join(outside, "victim"), []byte("good"), 0o644), os.Mkdir(dst, 0o755),
		os.Symlink(outside, filepath.Join(dst, "sub")), os.Symlink(filepath.Join(outside, "victim"), filepath.Join(dst, "file")))
	if err != nil {
		t.Fatal(err)
	}
	r := cmd(t, nil, "export", img, "/", dst)
	if r.status != 1 {
		t.Errorf("status %d", r.status)
	}
	for _, name := range []string{"/sub: ", "links/same1: "} {
		if !strings.Contains(r.err, name) {
			t.Errorf("not named: %s in\n%s", name, r.err)
		}
	}
	if got := contents(t, outside); len(got) != 1 || got["victim"] != "good" {
		t.Errorf("outside: %v", got)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 2 {
		t.Errorf("beside: %v, %v", list, err)
	}
	got := contents(t, dst)
	if got["file"] != "evil" || got["zlast"] != "last" {
		t.Errorf("dst: %v\n%s", got, r.err)
	}
	names := judge.Run(t, "tar", "--quoting-style=escape", "-tf", tarOf(t, img, 1))
	for line := range strings.Lines(names) {
		if strings.HasPrefix(line, "/") || strings.Contains("/"+line, "/../") {
			t.Errorf("archive: %q", line)
		}
	}
}

// tarOf exports an image as an archive, with this status.
func tarOf(t *testing.T, img string, status int) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "own.tar")
	if r := cmd(t, nil, "export --tar", img, "/", name); r.status != status {
		t.Fatalf("export --tar: status %d: %s", r.status, r.err)
	}
	return name
}

// TestExportInTheWay: a directory stays and is merged, a file is replaced when its successor is complete, and nothing
// takes the place of another kind.
func TestExportInTheWay(t *testing.T) {
	src, dst := damagedTree(t), filepath.Join(t.TempDir(), "dst")
	p := func(name string) string { return filepath.Join(dst, name) }
	img := judge.Mke2fs(t, "8M", "-d", src)
	judge.Change(t, img, "sif f1 checksum 1\n")
	err := errorsOf(os.MkdirAll(p("f3/mine"), 0o755), os.WriteFile(p("dir"), []byte("mine"), 0o644), os.WriteFile(p("f1"), []byte("old"), 0o644),
		os.WriteFile(p("f2"), []byte("old"), 0o644), os.Link(p("f2"), p("other name")), os.WriteFile(p("quick"), []byte("old"), 0o644), os.WriteFile(p("own"), []byte("own"), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // over itself as well
		r := cmd(t, nil, "export", img, "/", dst)
		namesOnce(t, r, []string{"/dir: ", "/f1: ", "/f3: "})
		got, want := contents(t, dst), contents(t, src)
		for name, v := range map[string]string{"dir": "mine", "f1": "old", "other name": "old", "own": "own", "f2": want["f2"], "g2": want["f2"],
			"quick": "short", "zlast": "last", "link": want["link"]} {
			if got[name] != v {
				t.Errorf("%s: %.20q", name, got[name])
			}
		}
		if left, _ := filepath.Glob(p(".ext4img*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
	a, e1 := os.Stat(p("f2"))
	b, e2 := os.Stat(p("g2"))
	if e1 != nil || e2 != nil || !os.SameFile(a, b) {
		t.Errorf("f2 and g2 are two files")
	}
}

// TestExportFull: a full host ends the export with a message; no part of a file stays, and what was there is whole.
func TestExportFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("judge missing: root, for a small file system")
	}
	src := t.TempDir()
	if err := errorsOf(os.WriteFile(filepath.Join(src, "a"), make([]byte, 1), 0o644), os.WriteFile(filepath.Join(src, "big"), bytes.Repeat([]byte("x"), 4<<20), 0o644),
		os.WriteFile(filepath.Join(src, "c"), []byte("c"), 0o644)); err != nil {
		t.Fatal(err)
	}
	img := judge.Mke2fs(t, "16M", "-d", src)
	host := t.TempDir()
	if out, err := judge.Command(t, "mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", host).CombinedOutput(); err != nil {
		t.Skipf("judge missing: mount of tmpfs: %s", out)
	}
	defer judge.Command(t, "umount", host).Run()
	old := filepath.Join(host, "old")
	if err := os.WriteFile(old, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	dst := filepath.Join(host, "dst")
	for _, c := range [][]string{{"export", img, "/", dst}, {"get", img, "/big", old}, {"export --tar", img, "/", old}} {
		r := cmd(t, nil, c[0], c[1:]...)
		if r.status != 1 || !strings.Contains(r.err, "no space left") || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s: status %d, %q", c[0], r.status, r.err)
		}
	}
	if got := contents(t, host); len(got) != 2 || got["old"] != "old" {
		t.Errorf("on the full host: %d files: %v", len(got), got["old"])
	}
}

// TestExportHostLimits: an attribute that the host does not take is named, and the file is exported without it.
func TestExportHostLimits(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("judge missing: root, for a small file system")
	}
	src := t.TempDir()
	if err := os.WriteFile(filepath.Join(src, "f"), []byte("f"), 0o644); err != nil {
		t.Fatal(err)
	}
	img := judge.Mke2fs(t, "16M", "-b", "4096", "-O", "ea_inode", "-d", src)
	ok(t, "xattr set", img, "/f", "user.large", strings.Repeat("v", 30000))
	ok(t, "xattr set", img, "/f", "user.small", "v")
	judge.Mount(t, judge.Mke2fs(t, "8M", "-b", "1024"), "", func(host string) {
		namesOnce(t, cmd(t, nil, "export", img, "/", filepath.Join(host, "dst")), []string{"/f: attribute user.large: "})
		value := make([]byte, 8)
		if n, err := unix.Getxattr(filepath.Join(host, "dst/f"), "user.small", value); n != 1 || err != nil {
			t.Errorf("user.small: %v", err)
		}
	})
}

// TestExportAsUser: for an ordinary user, what is not allowed is left out and named, and set-uid of others is dropped.
func TestExportAsUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("judge missing: root, to become another user")
	}
	judge.Need(t, "setpriv", "go")
	src := t.TempDir()
	for _, f := range []struct {
		name string
		uid  int
	}{{"root's", 0}, {"user's", 1000}} {
		if err := errorsOf(os.WriteFile(filepath.Join(src, f.name), []byte("x"), 0o755), os.Chown(filepath.Join(src, f.name), f.uid, f.uid),
			os.Chmod(filepath.Join(src, f.name), 0o755|os.ModeSetuid|os.ModeSetgid)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mknod(filepath.Join(src, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		t.Skipf("judge missing: devices: %v", err)
	}
	img := judge.Mke2fs(t, "8M", "-d", src)
	dir, err := os.MkdirTemp("/tmp", "ext4img-user")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	prog := filepath.Join(dir, "ext4img")
	judge.Run(t, "go", "build", "-o", prog, ".")
	judge.Run(t, "cp", "--sparse=always", img, filepath.Join(dir, "img"))
	if err := errorsOf(os.Chmod(dir, 0o777), os.Chmod(filepath.Join(dir, "img"), 0o644)); err != nil {
		t.Fatal(err)
	}
	dst := filepath.Join(dir, "dst")
	said := judge.Run(t, "setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", prog, "export", filepath.Join(dir, "img"), "/", dst)
	if strings.Count(said, "left out: ") != 2 || !strings.Contains(said, "/null: ") || !strings.Contains(said, "/root's: ") {
		t.Errorf("said: %s", said)
	}
	for name, want := range map[string]fs.FileMode{"root's": 0o755, "user's": 0o755 | os.ModeSetuid | os.ModeSetgid} {
		if info, err := os.Stat(filepath.Join(dst, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// TestGetReplaces: a file of the host stays until its successor is complete, and keeps its mode; links are followed.
func TestGetReplaces(t *testing.T) {
	src, dir := damagedTree(t), t.TempDir()
	img := judge.Mke2fs(t, "8M", "-d", src)
	judge.Change(t, img, "sif f1 checksum 1\n")
	secret, link := filepath.Join(dir, "secret"), filepath.Join(dir, "link")
	if err := errorsOf(os.WriteFile(secret, []byte("old"), 0o600), os.Symlink("secret", link)); err != nil {
		t.Fatal(err)
	}
	if r := cmd(t, nil, "get", img, "/f1", link); r.status != 1 {
		t.Errorf("status %d", r.status)
	}
	if b, err := os.ReadFile(secret); err != nil || string(b) != "old" {
		t.Errorf("after a failure: %q, %v", b, err)
	}
	ok(t, "get", img, "/f3", link)
	info, err := os.Lstat(secret)
	if b, _ := os.ReadFile(link); err != nil || string(b) != "three" || info.Mode() != 0o600 {
		t.Errorf("%q, %v, %v", b, info, err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 2 {
		t.Errorf("left behind: %v", list)
	}
	ok(t, "get", img, "/f3", "/dev/null")
	if info, err := os.Stat("/dev/null"); err != nil || info.Mode()&fs.ModeDevice == 0 {
		t.Fatalf("/dev/null: %v, %v", info, err)
	}
}
