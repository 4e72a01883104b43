package ext4

import (
	"io"
	"syscall"

	"ext4img/ext4/layout"
)

// readAt reads from the file without counting as direct I/O. Callers hold the inode lock, or are ReadAt. At the
// end of the file it returns io.EOF; if the size is one that no file can have, at the end of its map badSize.
func (n *openInode) readAt(p []byte, off int64) (int, error) {
	fs := n.fs
	bs := int64(fs.vol.Geo.BlockSize)
	v := fs.vol.Journal.View()
	defer v.Close()
	rec, err := fs.vol.Inodes.Read(v, n.ino)
	if err != nil {
		return 0, err
	}
	if rec.IsDir() {
		return 0, syscall.EISDIR
	}
	size, end := rec.Size(), io.EOF
	if bad := fs.badSize(n.ino, rec); bad != nil {
		end = bad
		if size, err = n.held(v, rec, off, int64(len(p))); err != nil {
			return 0, err
		}
	}
	if uint64(off) >= size {
		return 0, end
	}
	var atEnd error
	if uint64(len(p)) > size-uint64(off) {
		p, atEnd = p[:size-uint64(off)], end
	}
	if rec.HasFlag(layout.FlagInlineData) {
		if err := n.fs.vol.Attrs.ReadInline(v, n.ino, rec, p, off); err != nil {
			return 0, err
		}
		return len(p), atEnd
	}
	for done := 0; done < len(p); {
		at := off + int64(done)
		e, err := fs.vol.Extents.Lookup(v, n.ino, layout.Lblk(at/bs))
		if err != nil {
			return done, err
		}
		end := e.EndByte(int(bs))
		if end <= at {
			return done, layout.Corruptf("inode %d: block %d: extent %d+%d does not hold it", n.ino, at/bs, e.Lblk, e.Len)
		}
		part := p[done : done+int(min(int64(len(p)-done), end-at))]
		if e.Pblk == 0 || e.Unwritten {
			clear(part)
		} else if _, err := fs.vol.Dev.ReadAt(part, e.DevByte(at, int(bs))); err != nil && err != io.EOF {
			return done, err
		}
		done += len(part)
	}
	return len(p), atEnd
}
