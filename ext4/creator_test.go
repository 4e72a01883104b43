package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ext4img/aio"
	"ext4img/ext4/layout"
	"ext4img/testimages/judge"
)

// creators are file systems whose inodes have other fields than usual: by who made them, by their revision, by the size of
// inodes.
var creators = map[string][]string{
	"hurd ext2":       {"-t", "ext2", "-o", "hurd"},
	"hurd ext2 4k":    {"-t", "ext2", "-o", "hurd", "-b", "4096"},
	"hurd ext2 256":   {"-t", "ext2", "-o", "hurd", "-I", "256"},
	"hurd ext3":       {"-t", "ext3", "-o", "hurd"},
	"hurd ext4":       {"-t", "ext4", "-o", "hurd", "-O", "^64bit"},
	"hurd ext4 256":   {"-t", "ext4", "-o", "hurd", "-O", "^64bit", "-I", "256"},
	"freebsd":         {"-t", "ext4", "-o", "FreeBSD"},
	"freebsd ext2":    {"-t", "ext2", "-o", "FreeBSD"},
	"lites":           {"-t", "ext4", "-o", "lites"},
	"revision 0":      {"-t", "ext2", "-r", "0"},
	"revision 0 4k":   {"-t", "ext2", "-r", "0", "-b", "4096"},
	"revision 0 hurd": {"-t", "ext2", "-r", "0", "-o", "hurd"},
	"128":             {"-t", "ext4", "-I", "128"},
	"128 quota":       {"-t", "ext4", "-I", "128", "-O", "quota,orphan_file"},
	"128 ext2":        {"-t", "ext2", "-I", "128"},
	"512":             {"-t", "ext4", "-I", "512", "-O", "inline_data,project,quota"},
	"128 ea_inode":    {"-t", "ext4", "-I", "128", "-O", "ea_inode"},
	"no huge_file":    {"-t", "ext4", "-O", "^huge_file,^64bit"},
	"no extra_isize":  {"-t", "ext4", "-O", "^extra_isize"},
	"no large_file":   {"-t", "ext2", "-O", "none"},
}

// TestCreators works on names, data and attributes where inodes have other fields than usual.
func TestCreators(t *testing.T) {
	for name, options := range creators {
		t.Run(name, func(t *testing.T) {
			img := newImage(t, "16M", options...)
			creatorWork(t, img)
		})
	}
}

// creatorWork changes an image in every way that changes inodes, and has it judged.
func creatorWork(t *testing.T, img string) {
	t.Helper()
	fs, dev := openImage(t, img, Options{})
	files := map[string][]byte{}
	put := func(name string, n int) {
		t.Helper()
		f, err := fs.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
		must(t, err)
		data := content(uint64(n), n)
		if _, err := f.WriteAt(data, 0); err != nil {
			t.Fatal(err)
		}
		must(t, f.Close())
		files[name] = data
	}
	must(t, fs.MkdirAll("/a/b/c", Attr{Perm: 0o755, UID: 1 << 20, GID: 1 << 21}))
	for i := range 30 {
		put(fmt.Sprintf("/a/f%d", i), 1000*i)
	}
	put("/a/b/big", 600000)
	must(t, fs.Symlink(strings.Repeat("l", 300), "/a/long", Attr{}))
	must(t, fs.Symlink("short", "/a/short", Attr{}))
	must(t, fs.Link("/a/f1", "/a/b/again"))
	must(t, fs.Rename("/a/b", "/b", 0))
	files["/b/big"] = files["/a/b/big"]
	delete(files, "/a/b/big")
	must(t, fs.Rename("/a/f2", "/a/f3", 0))
	files["/a/f3"] = files["/a/f2"]
	delete(files, "/a/f2")
	must(t, fs.SetXattr("/a/f4", "user.small", []byte("value"), 0, true))
	must(t, fs.SetXattr("/a/f4", "user.block", content(1, 400), 0, true))
	must(t, fs.SetXattr("/a", "user.dir", content(2, 300), 0, true))
	must(t, fs.RemoveXattr("/a", "user.dir", true))
	must(t, fs.Chown("/a/f5", 3<<16+7, 5<<16+9))
	must(t, fs.Truncate("/b/big", 70000))
	files["/b/big"] = files["/b/big"][:70000]
	for i := 20; i < 30; i++ {
		must(t, fs.Remove(fmt.Sprintf("/a/f%d", i)))
		delete(files, fmt.Sprintf("/a/f%d", i))
	}
	must(t, fs.Remove("/b/c"))
	must(t, fs.Truncate("/a/f6", 3<<30))
	must(t, fs.Truncate("/a/f6", 6000))
	closeImage(t, fs, dev)
	fsckClean(t, img)
	for name, want := range files {
		if got := dumpFile(t, img, name); !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d", name, len(got), len(want))
		}
	}
	out := debugfs(t, img, "stat /a/f5")
	if !strings.Contains(out, fmt.Sprintf("User: %5d   Group: %5d", 3<<16+7, 5<<16+9)) {
		t.Errorf("owner: %s", out)
	}
	if out := debugfs(t, img, "ea_get /a/f4 user.small"); !strings.Contains(out, "value") {
		t.Errorf("user.small: %s", out)
	}
	if out := debugfs(t, img, "stats -h"); strings.Contains(out, "0 (original)") && !strings.Contains(out, "(none)") {
		t.Errorf("revision 0 with features: %s", out)
	}
}

// TestHurdFields keeps what the Hurd has in an inode, and frees its translator's block with the inode.
func TestHurdFields(t *testing.T) {
	for _, options := range [][]string{
		{"-t", "ext2", "-o", "hurd", "-b", "1024"},
		{"-t", "ext3", "-o", "hurd", "-b", "4096"},
		{"-t", "ext2", "-o", "hurd", "-b", "2048", "-I", "256"},
	} {
		t.Run(options[1]+" "+options[len(options)-1], func(t *testing.T) {
			img := newImage(t, "16M", options...)
			source := filepath.Join(t.TempDir(), "source")
			must(t, os.WriteFile(source, []byte("/hurd/term /dev/console\x00"), 0o644))
			judge.Change(t, img, "write "+source+" donor\nmkdir d\nwrite "+source+" f\nwrite "+source+" g\nmkdir e\n")
			for _, name := range []string{"d", "f", "g", "e"} {
				hurdTranslate(t, img, source, name)
			}
			fsckClean(t, img)
			free := blocksFree(t, img)
			before := map[string][]byte{"d": record(t, img, "/d"), "f": record(t, img, "/f")}
			fs, dev := openImage(t, img, Options{})
			for _, name := range []string{"/d/x", "/d/y"} {
				f, err := fs.Create(name, Attr{Perm: 0o644})
				must(t, err)
				must(t, f.Close())
			}
			f, err := fs.OpenFile("/f", os.O_RDWR, 0)
			must(t, err)
			if _, err := f.WriteAt(content(1, 50000), 0); err != nil {
				t.Fatal(err)
			}
			must(t, f.Truncate(100))
			must(t, f.Close())
			must(t, fs.SetXattr("/f", "user.a", content(2, 200), 0, true))
			must(t, fs.SetXattr("/d", "user.a", content(2, 200), 0, true))
			must(t, fs.RemoveXattr("/f", "user.a", true))
			must(t, fs.RemoveXattr("/d", "user.a", true))
			must(t, fs.Chown("/f", 1<<17, 1<<18))
			must(t, fs.Rename("/d", "/dd", 0))
			must(t, fs.Remove("/dd/x"))
			must(t, fs.Remove("/g"))
			must(t, fs.Remove("/e"))
			closeImage(t, fs, dev)
			fsckClean(t, img)
			for name, path := range map[string]string{"d": "/dd", "f": "/f"} {
				was, is := before[name], record(t, img, path)
				for _, at := range [][2]int{{0x24, 0x28}, {0x74, 0x78}, {0x7C, 0x80}} {
					if !bytes.Equal(was[at[0]:at[1]], is[at[0]:at[1]]) {
						t.Errorf("%s: %#x: % x, was % x", name, at[0], is[at[0]:at[1]], was[at[0]:at[1]])
					}
				}
			}
			if now := blocksFree(t, img); now != free+4 {
				t.Errorf("%d blocks free, were %d: two files with a block and a translator's went", now, free)
			}
		})
	}
}

// hurdTranslate gives a file a translator's block, which is made as a file's own first, an author, and the upper half of a mode.
func hurdTranslate(t *testing.T, img, source, name string) {
	t.Helper()
	judge.Change(t, img, "rm donor\nwrite "+source+" donor\n")
	var block, blocks, other int
	if _, err := fmt.Sscan(debugfs(t, img, "bmap donor 0"), &block); err != nil {
		t.Fatal(err)
	}
	count := func(file string) (n int) {
		_, text, _ := strings.Cut(debugfs(t, img, "stat "+file), "Blockcount: ")
		_, err := fmt.Sscan(text, &n)
		must(t, err)
		return n
	}
	blocks, other = count("donor"), count(name)
	judge.Change(t, img, fmt.Sprintf("sif donor block[0] 0\nsif donor blocks 0\nsif donor size 0\nsif %s translator %d\nsif %s blocks %d\n"+
		"sif %s author 4711\nsif %s file_acl_hi 12\n", name, block, name, blocks+other, name, name))
}

// record reads the first 128 bytes of an inode.
func record(t *testing.T, img, path string) []byte {
	t.Helper()
	var ino, group, block, off int
	out := strings.ReplaceAll(debugfs(t, img, "imap "+path), "\n", " ")
	_, err := fmt.Sscanf(strings.Join(strings.Fields(out), " "), "Inode %d is part of block group %d located at block %d, offset 0x%x", &ino, &group, &block, &off)
	must(t, err)
	f, err := os.Open(img)
	must(t, err)
	defer f.Close()
	var bs int
	_, text, _ := strings.Cut(debugfs(t, img, "stats -h"), "Block size:")
	_, err = fmt.Sscan(text, &bs)
	must(t, err)
	p := make([]byte, layout.GoodOldInodeSize)
	_, err = f.ReadAt(p, int64(block)*int64(bs)+int64(off))
	must(t, err)
	return p
}

func blocksFree(t *testing.T, img string) (n int) {
	t.Helper()
	_, text, _ := strings.Cut(debugfs(t, img, "stats -h"), "Free blocks:")
	_, err := fmt.Sscan(text, &n)
	must(t, err)
	return n
}

// TestHurdRefused: what the kernel does not mount is not changed here, and can be read.
func TestHurdRefused(t *testing.T) {
	for _, features := range []string{"64bit", "ea_inode", "64bit ea_inode"} {
		img := newImage(t, "16M", "-t", "ext4", "-o", "hurd", "-O", "^64bit")
		judge.Change(t, img, "feature "+features+"\nssv desc_size 64\n")
		fs, dev := openImage(t, img, Options{ReadOnly: true})
		if _, err := fs.ReadDir("/"); err != nil {
			t.Error(err)
		}
		closeImage(t, fs, dev)
		dev, err := aio.Open(img, aio.Options{Write: true})
		must(t, err)
		if _, err := Open(dev, Options{}); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "Hurd") {
			t.Errorf("%s: %v", features, err)
		}
		must(t, dev.Close())
	}
}

// TestExtraIsize works on inodes whose fields end before those of today: after each of the fields there are.
func TestExtraIsize(t *testing.T) {
	for _, features := range []string{"metadata_csum", "^metadata_csum", "project", "ea_inode"} {
		t.Run(features, func(t *testing.T) {
			img := newImage(t, "16M", "-t", "ext4", "-b", "1024", "-O", features)
			source := filepath.Join(t.TempDir(), "source")
			must(t, os.WriteFile(source, content(1, 5000), 0o644))
			var script strings.Builder
			sizes := []int{0, 4, 8, 12, 16, 20, 24, 28, 32}
			for _, n := range sizes {
				fmt.Fprintf(&script, "write %s f%d\nmkdir d%d\nsif f%d extra_isize %d\nsif d%d extra_isize %d\n", source, n, n, n, n, n, n)
			}
			judge.Change(t, img, script.String())
			fsckClean(t, img)
			fs, dev := openImage(t, img, Options{})
			at := time.Unix(5e9, 123456789) // after 2038
			for _, n := range sizes {
				extraIsizeWork(t, fs, n, at)
			}
			closeImage(t, fs, dev)
			fsckClean(t, img)
			fs, dev = openImage(t, img, Options{ReadOnly: true})
			for _, n := range sizes {
				info, err := fs.Stat(fmt.Sprintf("/f%d", n))
				must(t, err)
				want := at
				if n < 12 { // i_mtime_extra ends at 12
					want = time.Unix(1<<31-1, 0)
				}
				if !info.ModTime().Equal(want) {
					t.Errorf("extra_isize %d: %v, want %v", n, info.ModTime(), want)
				}
			}
			closeImage(t, fs, dev)
			for _, n := range sizes {
				if got := dumpFile(t, img, fmt.Sprintf("/f%d", n)); !bytes.Equal(got, append(content(1, 5000), content(2, 3000)...)) {
					t.Errorf("extra_isize %d: %d bytes", n, len(got))
				}
				for _, name := range []string{"/f", "/d"} {
					out := filepath.Join(t.TempDir(), "value")
					debugfs(t, img, fmt.Sprintf("ea_get -f %s %s%d user.a", out, name, n))
					if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, content(3, 30)) {
						t.Errorf("extra_isize %d: %s user.a: %d bytes, %v", n, name, len(got), err)
					}
				}
			}
		})
	}
}

func extraIsizeWork(t *testing.T, fs *FS, n int, at time.Time) {
	t.Helper()
	file, dir := fmt.Sprintf("/f%d", n), fmt.Sprintf("/d%d", n)
	f, err := fs.OpenFile(file, os.O_RDWR, 0)
	must(t, err)
	if _, err := f.WriteAt(content(2, 3000), 5000); err != nil {
		t.Fatal(err)
	}
	must(t, f.Close())
	for _, name := range []string{file, dir} {
		must(t, fs.SetXattr(name, "user.a", content(3, 30), 0, true))
		must(t, fs.SetXattr(name, "user.b", content(4, 300), 0, true))
		must(t, fs.RemoveXattr(name, "user.b", true))
		must(t, fs.Chown(name, 1<<17+n, 1<<18))
		must(t, fs.Chmod(name, 0o700))
	}
	for i := range 30 {
		must(t, fs.Link(file, fmt.Sprintf("%s/link with a long name %d", dir, i)))
	}
	for i := range 20 {
		must(t, fs.Remove(fmt.Sprintf("%s/link with a long name %d", dir, i)))
	}
	must(t, fs.Chtimes(file, at, at))
}
