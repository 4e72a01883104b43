package ext4

import (
	"fmt"
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// maxSize is the largest size of any file, bytes.
func (f *FS) maxSize() int64 { return f.vol.Geo.MaxFileSize() }

// maxNewSize is the largest size of a newly made file.
func (f *FS) maxNewSize() int64 {
	if f.vol.Geo.Incompat&layout.IncompatExtents == 0 {
		return f.vol.Geo.MaxMappedSize()
	}
	return f.maxSize()
}

// fits returns an error for a range beyond the largest size of any file.
func (f *FS) fits(off, length int64) error {
	if off > f.maxSize()-length {
		return tooLarge(off, length, f.maxSize())
	}
	return nil
}

// newFits returns an error for a size that no newly made file can have.
func (f *FS) newFits(size int64) error {
	if size > f.maxNewSize() {
		return tooLarge(0, size, f.maxNewSize())
	}
	return nil
}

func tooLarge(off, length, limit int64) error {
	return fmt.Errorf("%d bytes at %d: a file has at most %d: %w", length, off, limit, syscall.EFBIG)
}

// checkRange returns an error for a write beyond the largest size of the file.
func (n *openInode) checkRange(off int64, length int) error {
	if off < 0 {
		return syscall.EINVAL
	}
	return n.fits(off, int64(length))
}

// fits returns an error for a range beyond the largest size that the file can have, which depends on its map. For
// most ranges the map need not be read.
func (n *openInode) fits(off, length int64) error {
	fs := n.fs
	if err := fs.fits(off, length); err != nil || off+length <= fs.vol.Geo.MaxMappedSize() {
		return err
	}
	return n.inode(func(_ *journal.View, rec layout.Inode) error {
		limit := fs.maxSize()
		switch {
		case rec.HasFlag(layout.FlagInlineData):
			limit = fs.maxNewSize() // it will get such a map when its data moves out of the inode
		case !rec.HasFlag(layout.FlagExtents):
			limit = fs.vol.Geo.MaxMappedSize()
		}
		if off+length > limit {
			return tooLarge(off, length, limit)
		}
		return nil
	})
}
