package check

import (
	"errors"
	"io"

	"ext4img/ext4/layout"
)

// openResult is the outcome of one attempt to make sense of a superblock.
type openResult int

const (
	superOK openResult = iota
	superMagic
	superChecksum
	superCsumType
	superRevision
	superFeature
	superCorrupt
	superDescSize
	superUnreadable
)

var openTexts = [...]string{
	superMagic:      "magic number is wrong: not an ext2, ext3 or ext4 file system",
	superChecksum:   "checksum does not match",
	superCsumType:   "unknown checksum type",
	superRevision:   "unknown revision",
	superFeature:    "unknown features",
	superCorrupt:    "impossible values",
	superDescSize:   "impossible descriptor size",
	superUnreadable: "unreadable",
}

// The features that can be checked. Some of them the writers do not know.
const (
	checkedCompat = layout.CompatDirPrealloc | layout.CompatImagicInodes | layout.CompatHasJournal | layout.CompatExtAttr |
		layout.CompatResizeInode | layout.CompatDirIndex | layout.CompatSparseSuper2 | layout.CompatFastCommit |
		layout.CompatStableInodes | layout.CompatOrphanFile
	checkedIncompat = layout.KnownIncompat
	checkedRO       = layout.KnownROCompat | layout.ROCompatReadonly | layout.ROCompatSharedBlocks
)

// An opened file system: a valid superblock and its descriptors.
type opened struct {
	sb    layout.Superblock
	geo   *geometry
	descs []layout.Desc
	super uint64 // block of the superblock; 0: the primary one
}

// open finds a superblock and descriptors to work with: the primary ones, or those of the first backup.
func (c *checker) open() error {
	o, res := c.tryOpen(0, 0, false)
	badDescs := res == superOK && !c.descsSane(o)
	if res == superMagic || res == superChecksum || res == superCorrupt || badDescs {
		first, firstRes := o, res
		if firstRes == superOK {
			c.rep.add(codeDescsBad, superAt())
		}
		if firstRes != superOK || o.geo.groups > 1 {
			if firstRes != superOK {
				o = nil
			}
			super, bs := c.findBackup(o)
			o, res = c.tryOpen(super, bs, false)
			if firstRes == superOK && res != superOK {
				o, res = first, superOK
			}
			if res != superOK {
				res = firstRes
			}
		}
		if firstRes != superOK {
			c.rep.add(codeSuperBad, superAt().say("%s", openTexts[firstRes]))
		}
	}
	if res == superCorrupt || res == superDescSize {
		o, res = c.tryOpen(0, 0, true)
	}
	if res != superOK {
		return c.openFailed(res)
	}
	c.sb, c.geo, c.descs, c.super = o.sb, o.geo, o.descs, o.super
	c.known = &layout.Geometry{HashSeed: c.sb.HashSeed(), UnsignedHash: c.sb.Flags()&layout.FlagUnsignedHash != 0}
	return nil
}

// openFailed says why nothing can be checked.
func (c *checker) openFailed(res openResult) error {
	if res == superFeature {
		var s [layout.SuperSize]byte
		if c.readAt(s[:], layout.SuperOffset) == nil {
			sb := layout.Superblock(s[:])
			return fatalf("superblock: features %s %s: %w", sb.FeatureIncompat()&^checkedIncompat,
				sb.FeatureROCompat()&^checkedRO, layout.ErrUnsupported)
		}
	}
	return fatalf("superblock: %s", openTexts[res])
}

// findBackup returns the place and block size of the first backup superblock: that of group 1 if the geometry is
// known, or else a block that looks like one.
func (c *checker) findBackup(o *opened) (super uint64, bs int) {
	if o != nil {
		return o.geo.groupFirst(1), o.geo.bs
	}
	var s [layout.SuperSize]byte
	for bs := 1024; bs <= 65536; bs *= 2 {
		at := uint64(bs) * 8
		if bs == 1024 {
			at++
		}
		if c.readAt(s[:], int64(at)*int64(bs)) != nil {
			continue
		}
		sb := layout.Superblock(s[:])
		if sb.Magic() == layout.SuperMagic && sb.LogBlockSize() <= maxLogBlockSize && 1024<<sb.LogBlockSize() == bs {
			return at, bs
		}
	}
	return 8193, 1024
}

// tryOpen reads the superblock at block super (0: the primary one) and the descriptors that belong to it. If lenient
// is set, it accepts a wrong number of inodes.
func (c *checker) tryOpen(super uint64, bs int, lenient bool) (*opened, openResult) {
	off := int64(layout.SuperOffset)
	if super != 0 {
		off = int64(super) * int64(bs)
	}
	sb := make(layout.Superblock, layout.SuperSize)
	if c.readAt(sb, off) != nil {
		return nil, superUnreadable
	}
	if res := superAcceptable(sb); res != superOK {
		return nil, res
	}
	geo, res := newGeometry(sb, lenient)
	if res != superOK {
		return nil, res
	}
	if super != 0 && geo.bs != bs {
		return nil, superCorrupt
	}
	o := &opened{sb: sb, geo: geo, super: super}
	if res := c.readDescs(o); res != superOK {
		return nil, res
	}
	return o, superOK
}

// superAcceptable checks the fields on which the geometry depends.
func superAcceptable(sb layout.Superblock) openResult {
	csum := sb.FeatureROCompat()&layout.ROCompatMetadataCsum != 0
	switch {
	case sb.Magic() != layout.SuperMagic:
		return superMagic
	case csum && sb.Checksum() != sb.ComputeChecksum():
		return superChecksum
	case csum && sb.ChecksumType() != 1:
		return superCsumType
	case sb.RevLevel() > 1:
		return superRevision
	case sb.FeatureIncompat()&^checkedIncompat != 0:
		return superFeature
	}
	return superOK
}

// readDescs reads the descriptors. After a backup superblock, values in them that change all the time are stale. So
// their flags and counts of unused inodes are taken as 0.
func (c *checker) readDescs(o *opened) openResult {
	g := o.geo
	if int64(g.descBlocks)*int64(g.bs) > c.dev.Size() {
		return superUnreadable
	}
	length := g.descSize
	if g.hasIncompat(layout.Incompat64Bit) {
		length = max(length, 64)
	}
	p := make([]byte, int(g.descBlocks)*g.bs+length)
	for i := uint32(0); i < g.descBlocks; {
		at, n := g.descLoc(o.super, i), uint32(1)
		for i+n < g.descBlocks && g.descLoc(o.super, i+n) == at+uint64(n) {
			n++
		}
		if c.readAt(p[int(i)*g.bs:int(i+n)*g.bs], int64(at)*int64(g.bs)) != nil {
			return superUnreadable
		}
		i += n
	}
	o.descs = make([]layout.Desc, g.groups)
	for i := range o.descs {
		d := p[i*g.descSize:][:length:length]
		o.descs[i] = layout.Desc(d)
		if o.super > 1 && g.descCsum() {
			o.descs[i].SetFlags(o.descs[i].Flags() &^ (layout.DescBlockUninit | layout.DescInodeUninit))
			o.descs[i].SetItableUnused(0)
			o.descs[i].SetChecksum(g.descChecksum(uint32(i), o.descs[i]))
		}
	}
	return superOK
}

// descsSane reports whether every bitmap and inode table is at an allowed place, and no two overlap.
func (c *checker) descsSane(o *opened) bool {
	g := o.geo
	used := newBitmap(0, g.blocks, max(g.bpg, 64))
	for i := range g.groups {
		for _, r := range g.superArea(i) {
			used.setRange(r.at, r.n, nil)
		}
	}
	first, last := g.first, g.blocks-1
	for i, d := range o.descs {
		if !g.hasIncompat(layout.IncompatFlexBG) {
			first, last = g.groupFirst(uint32(i)), g.groupLast(uint32(i))
		}
		for _, r := range []blockRun{{uint64(d.BlockBitmap()), 1}, {uint64(d.InodeBitmap()), 1}, {uint64(d.InodeTable()), uint64(g.itable)}} {
			if r.at < first || r.at+r.n-1 > last {
				return false
			}
			clash := false
			used.setRange(r.at, r.n, func(_, _ uint64) { clash = true })
			if clash {
				return false
			}
		}
	}
	return true
}

// readAt fills p from byte off. Bytes beyond the device's end count as unreadable.
func (c *checker) readAt(p []byte, off int64) error {
	if off < 0 || off+int64(len(p)) > c.dev.Size() {
		return io.ErrUnexpectedEOF
	}
	n, err := c.dev.ReadAt(p, off)
	if n == len(p) && errors.Is(err, io.EOF) {
		err = nil
	}
	return err
}
