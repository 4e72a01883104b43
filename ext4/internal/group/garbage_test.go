package group

import (
	"errors"
	"math/rand"
	"syscall"
	"testing"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// TestGarbage puts garbage into descriptors, bitmaps and the superblock's counts of a file system without checksums.
// Every request then succeeds or is refused as corrupt. Nothing panics, hangs, or allocates metadata.
func TestGarbage(t *testing.T) {
	made := mkfs(t, 48<<20, 0, "-b", "1024", "-O", "^metadata_csum,uninit_bg,^has_journal")
	image := made.Dev.Image()
	const seed = 11
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewSource(seed))
	for range 400 {
		w := newWorld(t, image)
		w.damage(r)
		w.open(w.Dev) // so that no old bytes are cached
		for range 20 {
			h, err := w.J.Start(100)
			if err != nil {
				t.Fatal(err)
			}
			err = w.anything(h, r)
			if err != nil && !errors.Is(err, layout.ErrCorrupt) && !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			if err != nil {
				h.Cancel()
			} else if _, err := h.Stop(); err != nil && !errors.Is(err, layout.ErrCorrupt) {
				t.Fatal(err)
			}
		}
	}
}

// damage overwrites a few bytes of metadata.
func (w *world) damage(r *rand.Rand) {
	w.t.Helper()
	for range 1 + r.Intn(3) {
		group := layout.Group(r.Intn(int(w.G.Groups)))
		block, off := w.G.DescLoc(group)
		d := make([]byte, w.G.DescSize)
		bs := int64(w.G.BlockSize)
		if _, err := w.Dev.ReadAt(d, int64(block)*bs+int64(off)); err != nil {
			w.t.Fatal(err)
		}
		value := []byte{byte(r.Intn(256)), byte(r.Intn(3) * r.Intn(128))}[:1+r.Intn(2)]
		desc, at := layout.Desc(d), int64(0)
		switch r.Intn(4) {
		case 0:
			at = int64(desc.BlockBitmap())*bs + int64(r.Intn(1024))
		case 1:
			at = int64(desc.InodeBitmap())*bs + int64(r.Intn(64))
		case 2: // s_free_blocks_count, s_free_inodes_count
			at = layout.SuperOffset + 0xC + int64(r.Intn(7))
		default: // with the right checksum, so that only the meaning is wrong
			copy(d[r.Intn(0x1E):0x1E], value)
			desc.SetChecksum(w.G.DescChecksum(group, desc))
			value, at = d, int64(block)*bs+int64(off)
		}
		if _, err := w.Dev.WriteAt(value, at); err != nil {
			w.t.Fatal(err)
		}
	}
}

// anything does one of the things that this package can do.
func (w *world) anything(h *journal.Handle, r *rand.Rand) (err error) {
	switch r.Intn(4) {
	case 0:
		return w.s.Free(h, layout.Pblk(r.Int63n(int64(w.G.Blocks))), 1+uint64(r.Intn(20)))
	case 1:
		_, err = w.s.AllocInode(h, layout.Ino(1+r.Intn(int(w.G.Inodes))), r.Intn(2) == 0)
	case 2:
		return w.s.FreeInode(h, layout.Ino(r.Intn(int(w.G.Inodes)+2)), r.Intn(2) == 0)
	default:
		q := Request{Goal: layout.Pblk(r.Int63n(int64(w.G.Blocks))), Min: uint32(r.Intn(100)), Max: uint32(r.Intn(1 << 15)), Root: true}
		_, _, err = w.s.Alloc(h, q)
	}
	return err
}
