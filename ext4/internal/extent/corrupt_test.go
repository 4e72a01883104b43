package extent

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// victim is an image with a file whose map has several levels, and the places of the parts of that map.
type victim struct {
	image  *simdev.Image
	places []int64 // of i_block and the nodes, bytes
	sizes  []int
	blocks []uint32 // where nodes are, and the bitmaps and the inode table
	bits   []int64  // the bytes of the block bitmap that hold the nodes' bits
}

func newVictim(t *testing.T, args ...string) victim {
	t.Helper()
	w := newWorld(t, mke2fs(t, "16M", args...), 4)
	if w.G.Incompat&layout.IncompatExtents == 0 {
		for _, l := range []layout.Lblk{0, 15, 270, 300, 600, 70000, 70300} {
			w.allocateAll(t, l, 6, false)
		}
	} else {
		w.allocateAll(t, 0, 200, true)
		for l := layout.Lblk(0); l < 120; l += 2 {
			w.Must(t, func(h *journal.Handle) error { return w.m.Convert(h, w.ino, l, 1, false) })
		}
	}
	view := w.J.View()
	desc, err := w.space.Desc(view, 0)
	if err != nil {
		t.Fatal(err)
	}
	table := desc.InodeTable()
	v := victim{sizes: []int{layout.InodeBlockSize}}
	v.places = []int64{int64(table)*int64(w.G.BlockSize) + int64(w.ino-1)*int64(w.G.InodeSize) + 0x28}
	err = w.m.Nodes(view, w.ino, func(n Node) error {
		if n.Block != 0 {
			v.places = append(v.places, int64(n.Block)*int64(w.G.BlockSize))
			v.sizes = append(v.sizes, w.G.BlockSize)
			v.blocks = append(v.blocks, uint32(n.Block))
		}
		return nil
	})
	for _, b := range v.blocks {
		group, at := w.G.GroupOf(layout.Pblk(b))
		d, err := w.space.Desc(view, group)
		if err != nil {
			t.Fatal(err)
		}
		v.bits = append(v.bits, int64(d.BlockBitmap())*int64(w.G.BlockSize)+int64(at/w.G.ClusterRatio/8))
	}
	v.blocks = append(v.blocks, uint32(desc.BlockBitmap()), uint32(desc.InodeBitmap()), uint32(table)+1)
	view.Close()
	if err != nil || len(v.places) < 5 {
		t.Fatalf("%d nodes: %v", len(v.places), err)
	}
	if err := w.J.Close(); err != nil {
		t.Fatal(err)
	}
	v.image = w.Dev.Image()
	return v
}

// TestCorruptMaps changes bytes of valid maps and then calls every operation on them. Each call returns a result, or
// an error of a known kind.
func TestCorruptMaps(t *testing.T) {
	for _, args := range [][]string{
		{"-b", "1024", "-O", "^has_journal,^metadata_csum"},
		{"-b", "1024", "-O", "^has_journal,^metadata_csum,bigalloc", "-C", "4096"},
		{"-b", "1024", "-O", "^has_journal,^metadata_csum,^extents,^64bit"},
	} {
		v := newVictim(t, args...)
		rounds := uint64(400)
		if testing.Short() {
			rounds = 50
		}
		for seed := range rounds {
			rnd := rand.New(rand.NewPCG(seed, 3))
			w := newWorld(t, v.mutated(t, rnd), 4)
			for _, err := range w.everything(t, rnd) {
				if err != nil && !known(err) {
					t.Errorf("%v, seed %d: %v", args, seed, err)
				}
			}
		}
	}
}

func known(err error) bool {
	for _, k := range []error{layout.ErrCorrupt, layout.ErrUnsupported, journal.ErrCorrupt, ErrHole, syscall.ENOSPC, syscall.EEXIST, syscall.EINVAL, syscall.EFBIG} {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

// mutated is a copy of the image in which one to three places are changed: to a random byte, to a small number, or to
// the number of another node or of a bitmap; or a node is marked free.
func (v victim) mutated(t *testing.T, rnd *rand.Rand) *simdev.Image {
	t.Helper()
	d := simdev.FromImage(v.image.Clone())
	for range 1 + rnd.IntN(3) {
		i := rnd.IntN(len(v.places))
		used := min(v.sizes[i], 12+12*6)
		off := v.places[i] + int64(rnd.IntN(used))
		p := []byte{byte(rnd.Uint32())}
		switch rnd.IntN(5) {
		case 3: // nodes are free in the bitmap
			off = v.bits[rnd.IntN(len(v.bits))]
			p[0] = 0
		case 0:
			p = []byte{byte(rnd.IntN(6)), 0}
		case 1:
			off = v.places[i] + int64(rnd.IntN(used/4))*4
			b := v.blocks[rnd.IntN(len(v.blocks))]
			p = []byte{byte(b), byte(b >> 8), byte(b >> 16), byte(b >> 24)}
		}
		if _, err := d.WriteAt(p, off); err != nil {
			t.Fatal(err)
		}
	}
	return d.Image()
}

func (w *world) everything(t *testing.T, rnd *rand.Rand) []error {
	t.Helper()
	view := w.J.View()
	var errs []error
	count := 0
	errs = append(errs, w.m.Walk(view, w.ino, 0, func(layout.Extent) (bool, error) {
		count++
		return true, nil
	}))
	errs = append(errs, w.m.Nodes(view, w.ino, func(Node) error { return nil }))
	for range 10 {
		_, err := w.m.Lookup(view, w.ino, layout.Lblk(rnd.Uint32N(80000)))
		errs = append(errs, err)
	}
	view.Close()
	if count > 1<<23 {
		t.Errorf("%d extents in %d blocks", count, w.G.Blocks)
	}
	changes := []func(h *journal.Handle) error{
		func(h *journal.Handle) error { return w.m.Convert(h, w.ino, layout.Lblk(rnd.Uint32N(200)), 3, false) },
		func(h *journal.Handle) error { return w.m.Convert(h, w.ino, layout.Lblk(rnd.Uint32N(200)), 1, true) },
		func(h *journal.Handle) error {
			_, err := w.m.Allocate(h, w.ino, layout.Lblk(200+rnd.Uint32N(200)), 3, false)
			return err
		},
		func(h *journal.Handle) error {
			_, _, err := w.m.Shift(h, w.ino, 80, ^layout.Lblk(0), 40)
			return err
		},
		func(h *journal.Handle) error {
			_, _, err := w.m.Remove(h, w.ino, layout.Lblk(rnd.Uint32N(80000)), ^layout.Lblk(0))
			return err
		},
		func(h *journal.Handle) error {
			_, _, err := w.m.Remove(h, w.ino, 0, ^layout.Lblk(0))
			return err
		},
	}
	for _, fn := range changes {
		h, err := w.J.Start(4000)
		if err != nil {
			t.Fatal(err)
		}
		errs = append(errs, fn(h))
		if rnd.IntN(2) == 0 {
			h.Cancel()
			continue
		}
		if errs[len(errs)-1] != nil {
			h.Cancel()
			continue
		}
		_, err = h.Stop()
		errs = append(errs, err)
	}
	return errs
}

// TestEmptiedRoot: another program may leave a tree whose only leaf has few extents. When they are removed, the root
// becomes a leaf.
func TestEmptiedRoot(t *testing.T) {
	w := newWorld(t, mke2fs(t, "16M", "-b", "1024"), 0)
	for l := layout.Lblk(0); l < 10; l += 2 {
		w.allocateAll(t, l, 1, false)
	}
	w.Must(t, func(h *journal.Handle) error {
		f, err := w.m.change(h, w.ino)
		if err != nil {
			return err
		}
		p, err := f.find(0)
		if err != nil {
			return err
		}
		leaf, err := f.writable(p, len(p)-1)
		leaf.Resize(1, 4, 0)
		return err
	})
	w.removeAll(t)
	w.Must(t, func(h *journal.Handle) error {
		f, err := w.m.open(h, w.ino)
		if err != nil {
			return err
		}
		root, err := f.root()
		if err == nil && (root.Depth() != 0 || root.Entries() != 0) {
			t.Errorf("depth %d, %d entries", root.Depth(), root.Entries())
		}
		return err
	})
	w.allocateAll(t, 3, 5, true)
}
