package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
	"ext4img/testimages/judge"
)

// The smallest journal that mke2fs makes has 1,024 blocks, of which a transaction may take a quarter.
var (
	smallJournals = map[string][]string{
		"1k": {"-b", "1024", "-J", "size=1"},
		"2k": {"-b", "2048", "-J", "size=2"},
		"4k": {"-b", "4096", "-J", "size=4"},
	}
	smallJournalFeatures = map[string]string{
		"plain":       "ext_attr",
		"ea_inode":    "ea_inode",
		"quota":       "quota,project",
		"orphan_file": "orphan_file",
		"large_dir":   "large_dir",
		"inline_data": "inline_data",
		"bigalloc":    "bigalloc",
		"nocsum":      "^metadata_csum",
		"fast_commit": "fast_commit",
		"no extents":  "^extents,^64bit",
		"many":        "ea_inode,quota,project,orphan_file,large_dir",
		"all":         "ea_inode,quota,project,orphan_file,large_dir,inline_data,bigalloc",
	}
)

// TestSmallJournal runs every kind of operation on every block size and every feature that adds to what a handle changes, with
// the smallest journal.
func TestSmallJournal(t *testing.T) {
	for size, block := range smallJournals {
		for name, features := range smallJournalFeatures {
			t.Run(size+" "+name, func(t *testing.T) {
				if testing.Short() && name != "all" && name != "ea_inode" {
					t.Skip("long")
				}
				image := judge.Image(t, "64M", append([]string{"-N", "3000", "-O", features}, block...)...)
				dev := simdev.FromImage(image)
				fs, err := Open(dev, Options{})
				must(t, err)
				w := &smallWorld{T: t, fs: fs, files: map[string][]byte{}, attrs: map[string]map[string][]byte{}}
				w.large = strings.Contains(features, "ea_inode")
				w.blocks = strings.Contains(features, "^extents")
				w.run()
				must(t, fs.Close())
				w.judge(judge.Save(t, dev))
			})
		}
	}
}

// smallWorld is a file system and what is expected to be in it.
type smallWorld struct {
	*testing.T
	fs     *FS
	large  bool // values have inodes of their own
	blocks bool // files are mapped by block numbers
	files  map[string][]byte
	attrs  map[string]map[string][]byte
}

func (w *smallWorld) must(err error) {
	w.Helper()
	must(w.T, err)
}

func (w *smallWorld) run() {
	w.names()
	w.data()
	w.values()
	w.batch()
	w.must(w.fs.Chown("/data", 3000000, 70000))
	w.must(w.fs.Chown("/d", 70001, 3000001))
	w.must(w.fs.Truncate("/data", 12345))
	w.files["/data"] = w.files["/data"][:12345]
	w.must(w.fs.RemoveAll("/gone"))
}

// names fills a directory until its index has more levels than one, with blocks of 1 KiB.
func (w *smallWorld) names() {
	w.must(w.fs.Mkdir("/d", Attr{Perm: 0o755}))
	w.must(w.fs.Mkdir("/gone", Attr{Perm: 0o755}))
	w.put("/d/first", 5000)
	long := strings.Repeat("n", 200)
	for i := range 700 {
		w.must(w.fs.Link("/d/first", fmt.Sprintf("/d/%s%d", long, i)))
	}
	for i := range 40 {
		w.must(w.fs.Mkdir(fmt.Sprintf("/d/dir%d", i), Attr{Perm: 0o755, UID: uint32(i) << 10}))
		w.must(w.fs.Symlink(strings.Repeat("t", 500+i), fmt.Sprintf("/gone/link%d%s", i, long), Attr{UID: uint32(i) << 16}))
	}
	for i := range 300 {
		w.must(w.fs.Rename(fmt.Sprintf("/d/%s%d", long, i), fmt.Sprintf("/gone/%s%d", long, i), 0))
	}
}

func (w *smallWorld) put(name string, size int) {
	w.Helper()
	f, err := w.fs.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	w.must(err)
	data := content(uint64(size), size)
	if _, err := f.WriteAt(data, 0); err != nil {
		w.Fatal(err)
	}
	w.must(f.Close())
	w.files[name] = data
}

// data takes a file through all that moves its map, in many pieces.
func (w *smallWorld) data() {
	bs := int64(w.fs.vol.Geo.BlockSize) * int64(w.fs.vol.Geo.ClusterRatio)
	const blocks = 600
	f, err := w.fs.OpenFile("/data", os.O_RDWR|os.O_CREATE, 0o644)
	w.must(err)
	want := make([]byte, blocks*bs)
	if !w.blocks {
		w.must(f.Fallocate(0, 0, blocks*bs))
	}
	for i := int64(0); i < blocks; i += 2 {
		p := content(uint64(i), int(bs))
		if _, err := f.WriteAt(p, i*bs); err != nil {
			w.Fatal(err)
		}
		copy(want[i*bs:], p)
	}
	w.must(f.Truncate(blocks * bs))
	w.must(w.fs.Sync())
	w.files["/data"] = want
	if !w.blocks {
		w.must(f.Fallocate(FallocPunchHole|FallocKeepSize, 9*bs, 100*bs))
		clear(want[9*bs : 109*bs])
		w.must(f.Fallocate(FallocCollapseRange, 200*bs, 50*bs))
		want = append(want[:200*bs:200*bs], want[250*bs:]...)
		w.must(f.Fallocate(FallocInsertRange, 20*bs, 30*bs))
		w.files["/data"] = append(append(want[:20*bs:20*bs], make([]byte, 30*bs)...), want[20*bs:]...)
	}
	w.must(f.Close())
	w.put("/gone/large", 3<<20)
	w.must(w.fs.Truncate("/gone/large", 5000))
	delete(w.files, "/gone/large")
}

func (w *smallWorld) set(name, attr string, size int) {
	w.Helper()
	value := content(uint64(size), size)
	w.must(w.fs.SetXattr(name, attr, value, 0, true))
	if w.attrs[name] == nil {
		w.attrs[name] = map[string][]byte{}
	}
	w.attrs[name][attr] = value
}

// values sets, replaces and removes attributes in inodes, in blocks and in inodes of their own.
func (w *smallWorld) values() {
	w.set("/d/first", "user.small", 10)
	w.set("/d/first", "user.block", 400)
	w.set("/d/first", "user.small", 200)
	w.put("/gone/over", 1000)
	w.put("/over", 2000)
	w.set("/over", "user.block", 300)
	if w.large {
		for i, size := range []int{3000, 65536, 65535, 65536, 40000} {
			w.set("/d/first", fmt.Sprintf("user.large%d", i), size)
			w.set("/over", fmt.Sprintf("user.large%d", i), size+i-4)
			w.set("/gone/over", fmt.Sprintf("user.large%d", i), size-i)
			w.set("/gone", fmt.Sprintf("user.large%d", i), size-10-i)
		}
		w.set("/d/first", "user.large1", 65530)
		w.must(w.fs.RemoveXattr("/d/first", "user.large2", true))
		delete(w.attrs["/d/first"], "user.large2")
	}
	w.must(w.fs.Rename("/over", "/d/over", 0))
	w.must(w.fs.Rename("/gone/over", "/d/over", 0))
	w.files["/d/over"], w.attrs["/d/over"] = w.files["/gone/over"], w.attrs["/gone/over"]
	for _, name := range []string{"/over", "/gone/over", "/gone"} {
		delete(w.files, name)
		delete(w.attrs, name)
	}
}

// batch makes many files at once, each with an owner of its own, and one with more than a transaction holds.
func (w *smallWorld) batch() {
	var entries []Entry
	for i := range 120 {
		name, data := fmt.Sprintf("/gone/e%d", i), content(uint64(i), 100*i)
		if i%3 == 0 {
			name = fmt.Sprintf("/e%d", i)
			w.files[name] = data
		}
		e := Entry{Path: name, Mode: layout.ModeRegular | 0o644, UID: uint32(i) << 12, GID: uint32(i) << 14, Size: int64(len(data))}
		if len(data) > 0 {
			e.Data = []Piece{{0, data}}
		}
		entries = append(entries, e)
	}
	if w.large {
		e, attrs := &entries[60], map[string][]byte{}
		for i := range 9 {
			attrs[fmt.Sprintf("user.large%d", i)] = content(uint64(i), 65536-i)
		}
		e.Xattrs, w.attrs[e.Path] = attrs, attrs
	}
	m, err := w.fs.NewMaker("/", Attr{})
	w.must(err)
	made, err := m.Make(entries)
	w.must(m.Close())
	if err != nil || made != len(entries) {
		w.Fatalf("%d of %d made: %v", made, len(entries), err)
	}
}

// judge has e2fsck look at the image, and debugfs at files and attributes.
func (w *smallWorld) judge(img string) {
	judge.Fsck(w.T, img)
	if out := debugfs(w.T, img, "ls /gone"); strings.TrimSpace(out) != "" {
		w.Errorf("/gone is there: %s", out)
	}
	var script strings.Builder
	dir := w.TempDir()
	var names []string
	var expect [][]byte
	ask := func(command, name string, want []byte) {
		fmt.Fprintf(&script, command+"\n", filepath.Join(dir, fmt.Sprint(len(expect))))
		names, expect = append(names, name), append(expect, want)
	}
	for name, want := range w.files {
		ask("dump "+name+" %s", name, want)
	}
	for name, list := range w.attrs {
		for attr, want := range list {
			ask("ea_get -f %s "+name+" "+attr, name+" "+attr, want)
		}
	}
	judge.Change(w.T, img, script.String())
	for i, want := range expect {
		got, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(i)))
		got = got[:min(len(got), len(want))] // of a small inline file debugfs dumps the whole of i_block
		if err != nil || !bytes.Equal(got, want) {
			w.Errorf("%s: %d bytes, want %d, %v", names[i], len(got), len(want), err)
		}
	}
}

// TestLargerThanTransaction: what no transaction can hold fails as a whole and leaves the file system as it was.
func TestLargerThanTransaction(t *testing.T) {
	image := judge.Image(t, "64M", "-b", "1024", "-J", "size=1", "-O", "ea_inode")
	dev := simdev.FromImage(image)
	fs, err := Open(dev, Options{})
	must(t, err)
	attrs := map[string][]byte{}
	for i := range 40 { // more than the inode and its block have entries for
		attrs[fmt.Sprintf("user.%d%s", i, strings.Repeat("n", 100))] = content(uint64(i), 65536-i)
	}
	free, err := fs.FreeBlocks()
	must(t, err)
	m, err := fs.NewMaker("/", Attr{})
	must(t, err)
	made, err := m.Make([]Entry{{Path: "/x", Mode: layout.ModeRegular | 0o644, Xattrs: attrs}})
	if made != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%d made, %v", made, err)
	}
	must(t, m.Close())
	if _, err := fs.Stat("/x"); !isNotExist(err) {
		t.Errorf("what was not made is there: %v", err)
	}
	if now, err := fs.FreeBlocks(); now != free || err != nil {
		t.Errorf("%d blocks free, were %d, %v", now, free, err)
	}
	must(t, fs.Close())
	judge.Fsck(t, judge.Save(t, dev))
}
