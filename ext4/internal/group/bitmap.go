package group

import (
	"fmt"

	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/journal/buf"
)

// A kind says whether bitmaps are of blocks or of inodes.
type kind bool

const (
	blocks kind = false
	inodes kind = true
)

func (k kind) uninit() uint16 {
	if k == inodes {
		return layout.DescInodeUninit
	}
	return layout.DescBlockUninit
}

// isUninit reports whether the descriptor says that the group's bitmap on disk is not initialized.
func (s *Space) isUninit(d layout.Desc, k kind) bool {
	return s.g.GdtCsum() && d.Flags()&k.uninit() != 0
}

// size is the number of bits in a group's bitmap that stand for a cluster or an inode.
func (s *Space) size(group layout.Group, k kind) uint32 {
	if k == inodes {
		return s.g.InodesPerGroup
	}
	return s.g.GroupClusters(group)
}

func free(d layout.Desc, k kind) uint32 {
	if k == inodes {
		return d.FreeInodes()
	}
	return d.FreeClusters()
}

func (s *Space) bitmapRef(group layout.Group, d layout.Desc, k kind) buf.Ref {
	t := layout.BitmapType{G: s.g, Group: group, Inodes: bool(k)}
	p, want := d.BlockBitmap(), d.BlockBitmapCsum()
	if k == inodes {
		p, want = d.InodeBitmap(), d.InodeBitmapCsum()
	}
	if s.g.MetadataCsum() {
		t.Want = want
	}
	return buf.Ref{Block: uint64(p), Len: s.g.BlockSize, Type: t}
}

// build makes the bitmap of an uninitialized group, and compares it with the descriptor's count.
func (s *Space) build(r journal.Reader, group layout.Group, d layout.Desc, k kind) ([]byte, error) {
	b := s.buildInodeBitmap()
	if k == blocks {
		var err error
		if b, err = s.buildBlockBitmap(r, group); err != nil {
			return nil, err
		}
	}
	return b, s.checkCount(group, d, k, b)
}

// checkCount compares a bitmap with the number of free bits in the descriptor.
func (s *Space) checkCount(group layout.Group, d layout.Desc, k kind, b []byte) error {
	size := s.size(group, k)
	if got, want := size-countOnes(b, size), free(d, k); got != want {
		return layout.Corruptf("%s: %d of %d free, the descriptor says %d",
			layout.BitmapType{Group: group, Inodes: bool(k)}, got, size, want)
	}
	return nil
}

// bitmap reads a group's bitmap, or builds it. It must not be changed.
func (s *Space) bitmap(r journal.Reader, group layout.Group, k kind) ([]byte, error) {
	d, err := s.Desc(r, group)
	if err != nil {
		return nil, err
	}
	if s.isUninit(d, k) {
		return s.build(r, group, d, k)
	}
	b, err := r.Read(s.bitmapRef(group, d, k))
	if err != nil {
		return nil, err
	}
	return b, s.checkCount(group, d, k, b)
}

// initBitmap returns a group's descriptor and bitmap, to be changed. If the bitmap is not initialized, it builds it
// first.
func (s *Space) initBitmap(h *journal.Handle, group layout.Group, k kind) (layout.Desc, []byte, error) {
	d, err := s.editDesc(h, group)
	if err != nil {
		return nil, nil, err
	}
	if !s.isUninit(d, k) {
		b, err := h.Get(s.bitmapRef(group, d, k))
		return d, b, err
	}
	built, err := s.build(h, group, d, k)
	if err != nil {
		return nil, nil, err
	}
	b, err := h.Create(s.bitmapRef(group, d, k))
	if err != nil {
		return nil, nil, err
	}
	copy(b, built)
	d.SetFlags(d.Flags() &^ k.uninit())
	s.seal(d, b, k)
	return d, b, nil
}

// seal stores a bitmap's checksum in the descriptor.
func (s *Space) seal(d layout.Desc, b []byte, k kind) {
	if !s.g.MetadataCsum() {
		return
	}
	if c := s.g.BitmapChecksum(b, bool(k)); k == inodes {
		d.SetInodeBitmapCsum(c)
	} else {
		d.SetBlockBitmapCsum(c)
	}
}

// flip takes a span of a group (use) or gives it back. It changes the bitmap, its checksum, the descriptor's count
// and the superblock's. It is the only function that changes a bit. Before the call, every bit of the span must have
// the other value.
func (s *Space) flip(h *journal.Handle, group layout.Group, x span, k kind, use bool) (layout.Desc, error) {
	d, b, err := s.initBitmap(h, group, k)
	if err != nil {
		return nil, err
	}
	size, n := s.size(group, k), free(d, k)
	if x.n == 0 || x.at >= size || x.n > size-x.at {
		return nil, layout.Corruptf("group %d: bits %d+%d of %d", group, x.at, x.n, size)
	}
	var bad uint32
	if use {
		bad = nextOne(b, x.at, x.at+x.n)
	} else {
		bad = nextZero(b, x.at, x.at+x.n)
	}
	if bad != x.at+x.n {
		return nil, s.flipError(group, bad, k, use)
	}
	if use {
		if n < x.n {
			return nil, layout.Corruptf("descriptor of group %d: %d free, taking %d", group, n, x.n)
		}
		setBits(b, x.at, x.n)
		n -= x.n
	} else {
		clearBits(b, x.at, x.n)
		n += x.n
	}
	s.seal(d, b, k)
	return d, s.count(h, d, n, x.n, k, use)
}

// count stores a group's new number of free bits, and changes the total by the number of bits flipped. A total that is
// wrong already stops at what is possible: it keeps nothing from being freed, since the kernel counts it anew from the
// groups whenever it mounts.
func (s *Space) count(h *journal.Handle, d layout.Desc, free, flipped uint32, k kind, use bool) error {
	super, err := s.EditSuper(h)
	if err != nil {
		return err
	}
	if k == inodes {
		d.SetFreeInodes(free)
		total, err := s.total("inodes", uint64(super.FreeInodesCount()), uint64(flipped), uint64(s.g.Inodes), use)
		super.SetFreeInodesCount(uint32(total))
		return err
	}
	d.SetFreeClusters(free)
	total, err := s.total("blocks", super.FreeBlocksCount(), uint64(flipped)*uint64(s.g.ClusterRatio), s.g.Blocks, use)
	super.SetFreeBlocksCount(total)
	return err
}

// total is a total of the superblock after n of most have been taken (use) or given back.
func (s *Space) total(what string, was, n, most uint64, use bool) (uint64, error) {
	switch {
	case use && n > was:
		return was, layout.Corruptf("superblock: %d %s free, taking %d", was, what, n)
	case use:
		return was - n, nil
	}
	return max(was, min(was+n, most)), nil
}

func (s *Space) flipError(group layout.Group, at uint32, k kind, use bool) error {
	state := "free already"
	if use {
		state = "in use already"
	}
	if k == inodes {
		return layout.Corruptf("inode bitmap of group %d: inode %d: %s", group, uint64(group)*uint64(s.g.InodesPerGroup)+uint64(at)+1, state)
	}
	return layout.Corruptf("block bitmap of group %d: block %d: %s", group, s.block(group, at), state)
}

// block is the first block of cluster at of a group.
func (s *Space) block(group layout.Group, at uint32) layout.Pblk {
	return s.g.GroupFirst(group) + layout.Pblk(at)*layout.Pblk(s.g.ClusterRatio)
}

// cluster is the group of a block and the index of its cluster there.
func (s *Space) cluster(p layout.Pblk) (layout.Group, uint32) {
	group, at := s.g.GroupOf(p)
	return group, at / s.g.ClusterRatio
}

// wrap adds coordinates to an error of an operation on blocks.
func wrap(p layout.Pblk, n uint64, what string, err error) error {
	return fmt.Errorf("%s blocks %d+%d: %w", what, p, n, err)
}
