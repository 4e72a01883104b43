package names

import (
	"fmt"
	"io/fs"
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// CheckTarget checks the text of a symbolic link.
func CheckTarget(target string) error {
	switch {
	case target == "":
		return syscall.ENOENT
	case len(target) >= MaxPath:
		return syscall.ENAMETOOLONG
	}
	return nil
}

// InitSymlink gives a new symbolic link its text.
func (n *Names) InitSymlink(h *journal.Handle, ino layout.Ino, rec layout.Inode, target string) error {
	if err := CheckTarget(target); err != nil {
		return err
	}
	if len(target) >= n.Geo.BlockSize {
		return syscall.ENAMETOOLONG
	}
	rec.SetSize(uint64(len(target)))
	if len(target) < layout.InodeBlockSize {
		rec.SetFlags(rec.Flags() &^ layout.FlagExtents)
		clear(rec.Block())
		copy(rec.Block(), target)
		return nil
	}
	n.Inodes.InitMap(rec)
	e, err := n.Extents.Allocate(h, ino, 0, 1, false)
	if err != nil {
		return err
	}
	p, err := h.Create(n.linkRef(e.Pblk))
	if err != nil {
		return err
	}
	copy(p, target)
	return nil
}

// Readlink is the text of a symbolic link; fs.ErrInvalid for anything else.
func (n *Names) Readlink(r journal.Reader, ino layout.Ino) (string, error) {
	rec, err := n.Inodes.Read(r, ino)
	if err == nil && !rec.IsSymlink() {
		err = fs.ErrInvalid
	}
	if err != nil {
		return "", err
	}
	return n.text(r, ino, rec)
}

// text reads the text of a symbolic link: in i_block, inline, or in its first blocks.
func (n *Names) text(r journal.Reader, ino layout.Ino, rec layout.Inode) (string, error) {
	size := rec.Size()
	switch {
	case rec.HasFlag(layout.FlagEncrypt):
		return "", layout.Unsupportedf("inode %d: an encrypted symbolic link", ino)
	case size == 0 || size > MaxPath:
		return "", layout.Corruptf("inode %d: a symbolic link of %d bytes", ino, size)
	case rec.FastSymlink():
		return string(rec.Block()[:size]), nil
	}
	p := make([]byte, size)
	if rec.HasFlag(layout.FlagInlineData) {
		err := n.Attrs.ReadInline(r, ino, rec, p, 0)
		return string(p), err
	}
	bs := uint64(n.Geo.BlockSize)
	for off := uint64(0); off < size; off += bs {
		e, err := n.Extents.Lookup(r, ino, layout.Lblk(off/bs))
		if err != nil {
			return "", err
		}
		if e.Pblk == 0 || e.Unwritten {
			return "", layout.Corruptf("inode %d: a symbolic link without its block %d", ino, off/bs)
		}
		q, err := r.Read(n.linkRef(e.Pblk + layout.Pblk(off/bs) - layout.Pblk(e.Lblk)))
		if err != nil {
			return "", fmt.Errorf("inode %d: %w", ino, err)
		}
		copy(p[off:], q)
	}
	return string(p), nil
}

// linkRef refers to the block with a symbolic link's text, which is metadata, as in the kernel.
func (n *Names) linkRef(p layout.Pblk) journal.Ref {
	return journal.Ref{Block: uint64(p), Len: n.Geo.BlockSize, Type: layout.PlainType{Name: "symbolic link"}}
}
