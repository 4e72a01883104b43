package ext4

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"ext4img/ext4/internal/names"
	"ext4img/ext4/layout"
)

// oneLeaf makes an image with the file /f of 24 extents in one leaf, and gives the leaf's place.
func oneLeaf(t *testing.T) (img string, leaf int64) {
	t.Helper()
	img = newImage(t, "16M", "-t", "ext4", "-b", "1024", "-O", "^metadata_csum")
	fs, dev := openImage(t, img, Options{})
	f, err := fs.Create("/f", Attr{Perm: 0o644})
	must(t, err)
	for i := range int64(24) {
		_, err := f.WriteAt(fmt.Appendf(nil, "block %d", 2*i), 2048*i)
		must(t, err)
	}
	must(t, f.Close())
	closeImage(t, fs, dev)
	m := regexp.MustCompile(`0/ 1\s+1/\s+1\s+0 -\s+\d+\s+(\d+)`).FindStringSubmatch(debugfs(t, img, "dump_extents -n /f"))
	if m == nil {
		t.Fatal("no leaf")
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	must(t, err)
	return img, n * 1024
}

// TestDamagedRanges lets operations on ranges meet maps that are wrong in the range or, where what follows must move,
// behind it: each fails before it has changed anything of the file.
func TestDamagedRanges(t *testing.T) {
	damages := map[string]func(img string, leaf int64){
		"index at the very end": func(img string, _ int64) { change(t, img, "sif /f block[3] 0xffffffff") },
		"index behind":          func(img string, _ int64) { change(t, img, "sif /f block[3] 1") },
		"leaf of nothing":       func(img string, leaf int64) { patch(t, img, leaf+2, []byte{0, 0}) },
		"order, at the end":     func(img string, leaf int64) { patch(t, img, leaf+12+12*20, []byte{5, 0, 0, 0}) },
		"overlap, at the end":   func(img string, leaf int64) { patch(t, img, leaf+12+12*20+4, []byte{4, 0}) },
		"length 0, at the end":  func(img string, leaf int64) { patch(t, img, leaf+12+12*20+4, []byte{0, 0}) },
		"table, at the end":     func(img string, leaf int64) { patch(t, img, leaf+12+12*20+8, []byte{2, 0, 0, 0}) },
		"twice, at the end": func(img string, leaf int64) {
			p, err := os.ReadFile(img)
			must(t, err)
			patch(t, img, leaf+12+12*20+8, p[leaf+12+12*19+8:][:4])
		},
	}
	operations := map[string]func(f *File) error{
		"collapse": func(f *File) error { return f.Fallocate(FallocCollapseRange, 4096, 2048) },
		"insert":   func(f *File) error { return f.Fallocate(FallocInsertRange, 4096, 2048) },
		"punch":    func(f *File) error { return f.Fallocate(FallocPunchHole|FallocKeepSize, 100, 47000) },
		"zero":     func(f *File) error { return f.Fallocate(FallocZeroRange, 100, 47000) },
		"shrink":   func(f *File) error { return f.Truncate(100) },
	}
	whole, leaf := oneLeaf(t)
	for name, damage := range damages {
		for op, do := range operations {
			t.Run(name+"/"+op, func(t *testing.T) {
				p, err := os.ReadFile(whole)
				must(t, err)
				img := filepath.Join(t.TempDir(), "image")
				must(t, os.WriteFile(img, p, 0o600))
				damage(img, leaf)
				before, content := complaints(t, img), debugfs(t, img, "cat /f")
				fs, dev := openImage(t, img, Options{})
				f, err := fs.OpenFile("/f", os.O_RDWR, 0)
				must(t, err)
				if err := do(f); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s: %v", op, err)
				}
				_ = f.Close()
				closeImage(t, fs, dev)
				if debugfs(t, img, "cat /f") != content {
					t.Error("the file has changed")
				}
				for _, c := range complaints(t, img) {
					if !slices.Contains(before, c) {
						t.Errorf("e2fsck says now: %s", c)
					}
				}
			})
		}
	}
}

// TestDamagedClusters moves a file's blocks within their cluster: what would change the map is refused, all can be read.
func TestDamagedClusters(t *testing.T) {
	img, content := twoFiles(t, "-t", "ext4", "-O", "^metadata_csum,bigalloc", "-C", "16384")
	p := number(t, debugfs(t, img, "bmap /f 0"), "")
	change(t, img, fmt.Sprintf("sif /f block[5] %d", p+1))
	before := complaints(t, img)
	for op, do := range map[string]func(fs *FS) error{
		"remove":   func(fs *FS) error { return fs.Remove("/f") },
		"truncate": func(fs *FS) error { return fs.Truncate("/f", 1) },
		"allocate": func(fs *FS) error {
			f, err := fs.OpenFile("/f", os.O_RDWR, 0)
			must(t, err)
			return errors.Join(f.Fallocate(0, 0, 1<<20), f.Close())
		},
	} {
		fs, dev := openImage(t, img, Options{})
		if err := do(fs); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", op, err)
		}
		closeImage(t, fs, dev)
	}
	others(t, img, content, "/next")
	for _, c := range complaints(t, img) {
		if !slices.Contains(before, c) {
			t.Errorf("e2fsck says now: %s", c)
		}
	}
}

// TestNoType gives a file each of the types that there are not: no operation takes it for one that there is.
func TestNoType(t *testing.T) {
	for _, typ := range []uint16{0, 3, 5, 7, 9, 11, 13, 14, 15} {
		img, content := twoFiles(t, "-t", "ext4")
		change(t, img, fmt.Sprintf("sif /f mode 0%o", typ<<12|0o644))
		before := complaints(t, img)
		fs, dev := openImage(t, img, Options{})
		_, statErr := fs.Stat("/f")
		for op, err := range map[string]error{
			"stat":   statErr,
			"remove": fs.Remove("/f"),
			"rename": fs.Rename("/f", "/g", 0),
			"over":   fs.Rename("/other", "/f", 0),
			"link":   fs.Link("/f", "/g"),
			"chmod":  fs.Chmod("/f", 0o600),
		} {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("type %d: %s: %v", typ, op, err)
			}
		}
		closeImage(t, fs, dev)
		others(t, img, content, "/next")
		for _, c := range complaints(t, img) {
			if !slices.Contains(before, c) {
				t.Errorf("type %d: e2fsck says now: %s", typ, c)
			}
		}
	}
	if names.FileType(layout.ModeDir) == layout.FTUnknown || names.FileType(layout.ModeDir|0x1000) != layout.FTUnknown {
		t.Error("0x5000 is taken for a type")
	}
}
