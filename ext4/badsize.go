package ext4

import (
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// badSize is the error of a regular file with a size that no file can have, as it is mapped; nil for any other. Such a file
// is read as far as its map goes: what lies between that and the size nobody has written.
func (f *FS) badSize(ino layout.Ino, rec layout.Inode) error {
	limit := f.maxSize()
	if rec.MapsBlocks() && !rec.HasFlag(layout.FlagExtents) {
		limit = f.vol.Geo.MaxMappedSize()
	}
	if !rec.IsRegular() || rec.Size() <= uint64(limit) {
		return nil
	}
	return layout.Corruptf("inode %d: a size of %d bytes, a file has at most %d", ino, rec.Size(), limit)
}

// held is where a file ends for a read of length bytes at off, in bytes, if its size says nothing: at the end of the last
// extent. What follows the read is not looked at.
func (n *openInode) held(v *journal.View, rec layout.Inode, off, length int64) (end uint64, err error) {
	fs := n.fs
	if rec.HasFlag(layout.FlagInlineData) {
		rest, err := fs.vol.Attrs.Inline(v, n.ino)
		return uint64(layout.InodeBlockSize + len(rest)), err
	}
	if off >= fs.maxSize() {
		return 0, nil
	}
	bs := uint64(fs.vol.Geo.BlockSize)
	err = fs.vol.Extents.Walk(v, n.ino, layout.Lblk(uint64(off)/bs), func(e layout.Extent) (bool, error) {
		end = e.End() * bs
		return end < uint64(off)+uint64(length), nil
	})
	return end, err
}
