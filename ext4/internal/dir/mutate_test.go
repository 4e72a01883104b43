package dir_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"ext4img/ext4/internal/dir"
	"ext4img/ext4/internal/stack"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/effort"
)

// TestMutations damages bytes of directories that no checksum protects. Nothing may panic or run for long, and errors
// are of the usual kinds or say that the disk is corrupt.
func TestMutations(t *testing.T) {
	rounds := 1500
	if effort.Long() {
		rounds = 50000
	}
	w := newWorld(t, stack.Mke2fs(t, "16M", "-b", "1024", "-O", "^metadata_csum,inline_data,large_dir", "-I", "512"))
	d, small := w.mkdir(t, layout.RootIno, "d"), w.mkdir(t, layout.RootIno, "small")
	files := w.mkfiles(t, 1)
	names := w.fill(t, d, files, 700, func(i int) string { return fmt.Sprintf("%0220d", i) })
	w.fill(t, small, files, 12, func(i int) string { return fmt.Sprintf("%02d", i) })
	places := w.placesOf(t, d, small)
	if err := w.J.Close(); err != nil {
		t.Fatal(err)
	}
	image := w.Dev.Image()
	for seed := range uint64(rounds) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t, image)
		for range 1 + rnd.IntN(3) {
			at := places[rnd.IntN(len(places))]
			off := at.off + int64(rnd.IntN(at.n))
			if rnd.IntN(2) == 0 {
				off = at.off + int64(rnd.IntN(min(at.n, 48))) // the counts are there
			}
			b := []byte{byte(rnd.Uint32() >> rnd.IntN(8))}
			if _, err := w.Dev.WriteAt(b, off); err != nil {
				t.Fatal(err)
			}
		}
		for _, ino := range []layout.Ino{d, small} {
			if err := w.tryAll(t, ino, files[0], names); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
	}
}

// region is a stretch of the device, bytes.
type region struct {
	off int64
	n   int
}

// placesOf returns the blocks of directory d, and the record of the inline directory small.
func (w *world) placesOf(t *testing.T, d, small layout.Ino) (out []region) {
	t.Helper()
	w.View(func(r journal.Reader) {
		err := w.Map.Walk(r, d, 0, func(e layout.Extent) (bool, error) {
			for i := range e.Len {
				out = append(out, region{int64(e.Pblk+layout.Pblk(i)) * int64(w.G.BlockSize), w.G.BlockSize})
			}
			return true, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		group, index := w.G.InodeGroup(small)
		desc, err := w.Space.Desc(r, group)
		if err != nil {
			t.Fatal(err)
		}
		at := int64(desc.InodeTable())*int64(w.G.BlockSize) + int64(index)*int64(w.G.InodeSize)
		for range len(out) / 4 {
			out = append(out, region{at + 40, 60}, region{at + 160, w.G.InodeSize - 160})
		}
		for range 10 {
			out = append(out, out[0]) // the root more often than others
		}
	})
	return out
}

// tryAll calls every operation on a directory. It returns an error that is not of an allowed kind.
func (w *world) tryAll(t *testing.T, d, file layout.Ino, names map[string]layout.Ino) error {
	count := 0
	var errs []error
	w.View(func(r journal.Reader) {
		errs = append(errs, w.list(r, d, func(dir.Entry) (bool, error) { count++; return true, nil }))
		_, _, err := w.Dirs.Lookup(r, d, "no such name")
		_, err2 := w.Dirs.Empty(r, d)
		errs = append(errs, err, err2)
	})
	if count > 100000 {
		return fmt.Errorf("%d names listed", count)
	}
	i := 0
	for name := range names {
		if i++; i > 5 {
			break
		}
		errs = append(errs, w.attempt(t, func(h *journal.Handle) error { _, err := w.Dirs.Remove(h, d, name); return err }))
		errs = append(errs, w.attempt(t, func(h *journal.Handle) error { return w.Dirs.Add(h, d, name[:100], file, layout.FTRegular) }))
		errs = append(errs, w.attempt(t, func(h *journal.Handle) error { return w.Dirs.SetParent(h, d, file) }))
	}
	for _, err := range errs {
		if err != nil && !expected(err) {
			return err
		}
	}
	return nil
}

func (w *world) attempt(t *testing.T, fn func(h *journal.Handle) error) error {
	err := journal.ErrNoCredits
	for credits := w.Dirs.Credits(); errors.Is(err, journal.ErrNoCredits); credits = journal.Whole {
		var h *journal.Handle
		if h, err = w.J.Start(credits); err != nil {
			t.Fatal(err)
		}
		if err = fn(h); err != nil {
			h.Cancel()
		} else {
			_, err = h.Stop()
		}
	}
	return err
}

func expected(err error) bool {
	usual := []error{layout.ErrCorrupt, layout.ErrUnsupported, fs.ErrNotExist, fs.ErrExist, syscall.ENOSPC, syscall.ENOTDIR}
	return slices.ContainsFunc(usual, func(kind error) bool { return errors.Is(err, kind) })
}
