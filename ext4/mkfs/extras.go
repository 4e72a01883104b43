package mkfs

import (
	"encoding/binary"

	"ext4img/ext4/layout"
)

const (
	mmpInterval  = 5 // s_mmp_update_interval, seconds
	orphanMin    = 32
	orphanMax    = 512
	orphanMaxLen = 8 << 20 // bytes; the kernel refuses larger ones
)

// makeOrphanFile makes the orphan file, with one block of slots for each 4,096 blocks of the file system, within
// bounds.
func (b *builder) makeOrphanFile() error {
	if b.g.Compat&layout.CompatOrphanFile == 0 {
		return nil
	}
	bs := uint64(b.g.BlockSize)
	n := min(max(b.g.Blocks>>12, orphanMin), orphanMax, orphanMaxLen/bs)
	f := b.newFile(b.nextIno(), layout.ModeRegular|0o600, 1)
	if err := b.allocate(f, b.tablesEnd(), n); err != nil {
		return err
	}
	b.super.SetOrphanFileInum(uint32(f.ino))
	for l := range n {
		p := layout.OrphanBlock(make([]byte, bs))
		p.Init()
		layout.OrphanBlockType{G: b.g, Ino: f.ino, Block: f.block(l)}.Seal(p)
		if err := b.write(f.block(l), p); err != nil {
			return err
		}
	}
	return nil
}

// makeMMP makes the block of multi-mount protection. It says that the file system is not mounted.
func (b *builder) makeMMP() error {
	if b.g.Incompat&layout.IncompatMMP == 0 {
		return nil
	}
	runs, err := b.space.data(b.tablesEnd(), 1)
	if err != nil {
		return err
	}
	p := make([]byte, b.g.BlockSize)
	le := binary.LittleEndian
	le.PutUint32(p[0x0:], layout.MMPMagic)
	le.PutUint32(p[0x4:], layout.MMPClean)
	le.PutUint64(p[0x8:], uint64(b.o.Time.Unix()))
	le.PutUint16(p[0x70:], mmpInterval)
	if b.g.MetadataCsum() {
		le.PutUint32(p[0x3FC:], layout.MMP(p[:layout.MMPSize]).ComputeChecksum(b.g.CsumSeed))
	}
	b.super.SetMMPBlock(runs[0].start)
	return b.write(layout.Pblk(runs[0].start), p)
}
