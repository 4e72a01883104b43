package volume

import (
	"bytes"
	"fmt"

	"ext4img/aio"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// logArea finds the log: on another device, or in the blocks of the journal inode.
func (g ground) logArea(external aio.Device) (*journal.Area, error) {
	ino := layout.Ino(g.super.JournalInum())
	if ino == 0 {
		return ExternalLog(g.super, external)
	}
	if external != nil {
		return nil, layout.Unsupportedf("journal: inside the file system, inode %d: no external journal wanted", ino)
	}
	return g.internalArea(ino)
}

// internalArea reads the map of the journal inode from the device itself, not from a cache.
func (g ground) internalArea(ino layout.Ino) (*journal.Area, error) {
	j, err := journal.Open(journal.Config{Device: g.dev, BlockSize: g.geo.BlockSize, Blocks: g.geo.Blocks, CacheBytes: 1 << 20})
	if err != nil {
		return nil, err
	}
	v := j.View()
	defer v.Close()
	over := Wire(g.geo, j, nil)
	over.Inodes.Lenient = g.readOnly
	rec, err := over.Inodes.Read(v, ino)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if !rec.IsRegular() || rec.Links() == 0 {
		return nil, layout.Corruptf("journal: inode %d: not a file in use", ino)
	}
	blocks := (rec.Size() + uint64(g.geo.BlockSize) - 1) / uint64(g.geo.BlockSize)
	area := &journal.Area{BlockSize: g.geo.BlockSize}
	var next layout.Lblk
	err = over.Extents.Walk(v, ino, 0, func(e layout.Extent) (bool, error) {
		if uint64(e.Lblk) >= blocks {
			return false, nil
		}
		if e.Lblk != next || e.Unwritten {
			return false, layout.Corruptf("journal: inode %d: block %d: a hole in the log", ino, next)
		}
		next = e.Lblk + layout.Lblk(e.Len)
		area.Blocks = append(area.Blocks, journal.Run{Phys: uint64(e.Pblk), Len: e.Len})
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if uint64(next) < blocks {
		return nil, layout.Corruptf("journal: inode %d: %d blocks mapped of %d", ino, next, blocks)
	}
	return area, nil
}

// ExternalLog is the log on a device of its own. There it follows a superblock with the UUID that the file system
// names.
func ExternalLog(s layout.Superblock, dev aio.Device) (*journal.Area, error) {
	if dev == nil {
		return nil, layout.Unsupportedf("journal: on another device, with UUID %x, which was not given", s.JournalUUID())
	}
	p := make([]byte, layout.SuperSize)
	if n, err := dev.ReadAt(p, layout.SuperOffset); n < len(p) {
		return nil, fmt.Errorf("journal: superblock of its device: %w", err)
	}
	js, err := layout.ParseSuperblock(p)
	if err == nil {
		err = js.VerifyChecksum()
	}
	if err != nil {
		return nil, fmt.Errorf("journal: its device: %w", err)
	}
	if js.FeatureIncompat()&layout.IncompatJournalDev == 0 || !bytes.Equal(js.UUID(), s.JournalUUID()) {
		return nil, layout.Corruptf("journal: its device has UUID %x, want a journal with %x", js.UUID(), s.JournalUUID())
	}
	if js.LogBlockSize() != s.LogBlockSize() || js.LogBlockSize() > 6 {
		return nil, layout.Corruptf("journal: its device: s_log_block_size %d, want %d", js.LogBlockSize(), s.LogBlockSize())
	}
	size := 1024 << js.LogBlockSize()
	first := uint64(layout.SuperOffset/size) + 1
	if js.BlocksCount() <= first || js.BlocksCount() > 1<<32-1 || int64(js.BlocksCount())*int64(size) > dev.Size() {
		return nil, layout.Corruptf("journal: its device: %d blocks in %d bytes", js.BlocksCount(), dev.Size())
	}
	run := journal.Run{Phys: 0, Len: uint32(js.BlocksCount())}
	return &journal.Area{Device: dev, BlockSize: size, Blocks: []journal.Run{run}, Super: uint32(first)}, nil
}

// logFeatures are the journal features that the file system needs.
func logFeatures(g *layout.Geometry) (f journal.Features) {
	if g.Incompat&layout.Incompat64Bit != 0 {
		f |= journal.Feature64Bit
	}
	if g.MetadataCsum() {
		f |= journal.FeatureCsumV3
	}
	return f
}
