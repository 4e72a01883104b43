package ext4

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"ext4img/ext4/layout"
	"ext4img/testimages/judge"
)

// ranOut has an error say what ran out, and be the number that system calls have for it.
func ranOut(t *testing.T, err error, number syscall.Errno, words ...string) {
	t.Helper()
	if !errors.Is(err, number) {
		t.Fatalf("%v, want %v", err, number)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v: does not say %q", err, w)
		}
	}
}

// TestNoInodes: with blocks free and no inode, everything that makes one says so, and the rest goes on.
func TestNoInodes(t *testing.T) {
	for _, options := range [][]string{{"-t", "ext2"}, {"-t", "ext4"}, {"-t", "ext4", "-O", "ea_inode,quota,orphan_file,inline_data"}} {
		img := newImage(t, "8M", append(options, "-N", "32")...)
		fs, dev := openImage(t, img, Options{})
		made := 0
		var err error
		for ; err == nil; made++ {
			var f *File
			if f, err = fs.Create(fmt.Sprint("/f", made), Attr{Perm: 0o644}); err == nil {
				must(t, f.Close())
			}
		}
		if made < 10 {
			t.Errorf("%v: %d files", options, made)
		}
		byMaker := makeOne(t, fs, Entry{Path: "/x", Mode: layout.ModeRegular | 0o644})
		for what, err := range map[string]error{
			"create": err, "mkdir": fs.Mkdir("/x", Attr{}), "symlink": fs.Symlink("x", "/x", Attr{}),
			"mknod": fs.Mknod("/x", layout.ModeFIFO, Attr{}, 0, 0), "make": byMaker,
		} {
			if !errors.Is(err, ErrNoInodes) {
				t.Errorf("%s: %v", what, err)
			}
			ranOut(t, err, syscall.ENOSPC, "no inode is free", "remove files")
		}
		if fs.vol.Geo.Incompat&layout.IncompatEAInode != 0 {
			err := fs.SetXattr("/f0", "user.large", make([]byte, 5000), 0, true)
			ranOut(t, err, syscall.ENOSPC, "no inode is free")
		}
		must(t, fs.Link("/f0", "/link"))
		must(t, fs.Rename("/f1", "/f0", 0))
		must(t, fs.Remove("/link"))
		f, err := fs.OpenFile("/f0", os.O_RDWR, 0)
		must(t, err)
		if _, err := f.WriteAt(content(1, 100000), 0); err != nil {
			t.Error(err)
		}
		must(t, f.Close())
		must(t, fs.Mkdir("/x", Attr{Perm: 0o755})) // the inode that Rename and Remove have freed
		closeImage(t, fs, dev)
		fsckClean(t, img)
	}
}

// TestRanOut: what ran out is in the error, beside the number for it.
func TestRanOut(t *testing.T) {
	img := newImage(t, "8M", "-t", "ext4", "-b", "1024", "-O", "^dir_nlink")
	judge.Change(t, img, "mkdir d\nwrite /dev/null f\nsif f links_count 65000\nsif d links_count 65000\n")
	fs, dev := openImage(t, img, Options{})
	ranOut(t, fs.Link("/f", "/g"), syscall.EMLINK, "65000 links")
	ranOut(t, fs.Mkdir("/d/e", Attr{}), syscall.EMLINK, "65000 links")
	must(t, fs.SetXattr("/f", "user.a", make([]byte, 800), 0, true))
	ranOut(t, fs.SetXattr("/f", "user.b", make([]byte, 800), 0, true), syscall.ENOSPC, "800 bytes", "ea_inode")
	f, err := fs.OpenFile("/w", os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	most := fs.maxSize()
	largest := fmt.Sprint("at most ", most)
	ranOut(t, f.Truncate(most+1), syscall.EFBIG, largest)
	ranOut(t, f.Fallocate(0, most-10, 11), syscall.EFBIG, largest)
	_, err = f.WriteAt(make([]byte, 2), most-1)
	ranOut(t, err, syscall.EFBIG, largest)
	ranOut(t, fs.Room("/none", 1, most), syscall.EFBIG, largest)
	ranOut(t, makeOne(t, fs, Entry{Path: "/x", Mode: layout.ModeRegular | 0o644, Size: most + 1}), syscall.EFBIG, largest)
	ranOut(t, f.Fallocate(0, 0, 20<<20), syscall.ENOSPC, "blocks wanted", "free")
	free, err := fs.FreeBlocks()
	must(t, err)
	for size := int64(free); size > 0; {
		if err := f.Fallocate(FallocKeepSize, (20<<20-size)&^1023, size*1024); err == nil {
			break
		}
		size--
	}
	var full error
	for off := int64(0); full == nil; off += 1024 {
		_, full = f.WriteAt(make([]byte, 1024), off)
	}
	ranOut(t, full, syscall.ENOSPC, "free")
	must(t, f.Close())
	must(t, fs.Remove("/w"))
	closeImage(t, fs, dev)
	judge.Change(t, img, "sif f links_count 1\nsif d links_count 2\n")
	fsckClean(t, img)
}

func makeOne(t *testing.T, fs *FS, e Entry) error {
	t.Helper()
	m, err := fs.NewMaker("/", Attr{})
	must(t, err)
	_, err = m.Make([]Entry{e})
	must(t, m.Close())
	return err
}
