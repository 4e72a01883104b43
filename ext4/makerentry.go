package ext4

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"syscall"

	"ext4img/aio/block"
	"ext4img/ext4/internal/names"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// entry makes one file. It checks as much as possible before the first change.
func (s *making) entry(e *Entry) error {
	parts, err := pathParts(e.Path)
	if err != nil {
		return err
	}
	isDir := e.Mode&layout.ModeTypeMask == layout.ModeDir && e.LinkTo == ""
	if len(parts) == 0 {
		if !isDir {
			return fs.ErrExist
		}
		return s.attributes(e, s.m.base.ino)
	}
	var source layout.Ino
	if e.LinkTo != "" {
		if source, err = s.source(e.LinkTo); err != nil {
			return fmt.Errorf("link to %q: %w", e.LinkTo, err)
		}
	}
	last := len(parts) - 1
	dir, err := s.dir(parts[:last], true)
	if err != nil {
		return err
	}
	p := names.Place{Dir: dir, Name: parts[last]}
	old, _, err := s.m.fs.vol.Dirs.Lookup(s.h, dir, p.Name)
	if isNotExist(err) {
		old, err = 0, nil
	}
	if err != nil {
		return err
	}
	if source != 0 && source != old {
		if err := s.linkable(source); err != nil {
			return fmt.Errorf("link to %q: %w", e.LinkTo, err)
		}
	}
	if old != 0 {
		switch done, err := s.old(e, p, old, source); {
		case err != nil:
			return err
		case done:
			return nil
		}
	}
	return s.inDir(dir, func() error { return s.create(e, p, source) })
}

// source finds the file that is to get another name.
func (s *making) source(name string) (layout.Ino, error) {
	parts, err := pathParts(name)
	if err != nil {
		return 0, err
	}
	if len(parts) == 0 {
		return 0, syscall.EPERM
	}
	last := len(parts) - 1
	dir, err := s.dir(parts[:last], false)
	if err != nil {
		return 0, err
	}
	ino, _, err := s.child(dir, parts[last], false)
	return ino, err
}

// linkable checks whether a file can have another name.
func (s *making) linkable(ino layout.Ino) error {
	rec, err := s.m.fs.vol.Inodes.Read(s.h, ino)
	switch {
	case err != nil:
		return err
	case rec.IsDir() || rec.HasFlag(layout.FlagImmutable|layout.FlagAppend):
		return syscall.EPERM
	case rec.Links() >= names.LinkMax:
		return syscall.EMLINK
	}
	return nil
}

// old handles an inode that has the name already. done is true if it is what the entry asks for; otherwise the name
// is free afterwards.
func (s *making) old(e *Entry, p names.Place, old, source layout.Ino) (done bool, err error) {
	f := s.m.fs
	rec, err := f.vol.Inodes.Read(s.h, old)
	switch {
	case err != nil:
		return false, err
	case old == source:
		return true, nil
	case rec.IsDir() && source == 0 && e.Mode&layout.ModeTypeMask == layout.ModeDir:
		return true, s.attributes(e, old)
	}
	var n *openInode
	s.h.AtEnd(func(ok bool) {
		if ok {
			n = f.get(old)
			s.gone = append(s.gone, n)
		}
	})
	if rec.IsDir() {
		s.forget()
	}
	return false, s.inDir(p.Dir, func() error { return f.names.RemoveFrom(s.h, p, old) })
}

// create makes a file with a name that is free.
func (s *making) create(e *Entry, p names.Place, source layout.Ino) error {
	f := s.m.fs
	switch {
	case source != 0:
		return f.names.Link(s.h, source, p)
	case e.File != nil:
		return s.named(e, p)
	}
	ino, err := f.names.CreateBare(s.h, p, e.Mode&layout.ModeTypeMask, names.Attr{}, func(_ *journal.Handle, _, ino layout.Ino, rec layout.Inode) error {
		return s.fill(e, p, ino, rec)
	})
	if err != nil {
		return err
	}
	astray := e.Mode&layout.ModeTypeMask == layout.ModeSymlink && leadsAstray(e.Target)
	s.fresh = append(s.fresh, fresh{ino: ino, astray: astray})
	return s.attributes(e, ino)
}

// named gives a file of Temp its name.
func (s *making) named(e *Entry, p names.Place) error {
	f, n := s.m.fs, e.File.n
	if e.Mode&layout.ModeTypeMask != layout.ModeRegular || e.File.isClosed() {
		return syscall.EINVAL
	}
	if err := f.names.LinkTmpfile(s.h, n.ino, p); err != nil {
		return err
	}
	n.changes(s.h)
	s.h.AtEnd(func(ok bool) {
		if ok {
			n.touched.Store(false)
		}
	})
	s.fresh = append(s.fresh, fresh{ino: n.ino})
	return s.attributes(e, n.ino)
}

// attributes sets the attributes of an entry on an inode. Access control lists come last, since they affect the
// permissions.
func (s *making) attributes(e *Entry, ino layout.Ino) error {
	f := s.m.fs
	rec, err := f.vol.Inodes.Edit(s.h, ino)
	if err != nil {
		return err
	}
	if rec.HasFlag(layout.FlagImmutable | layout.FlagAppend) {
		return syscall.EPERM
	}
	s.own(e, rec)
	if rec.IsDir() {
		s.fresh = append(s.fresh, fresh{ino: ino, timed: !e.Mtime.IsZero()})
	}
	if rec.IsDir() && len(e.Xattrs) == 0 {
		return f.names.ChmodACL(s.h, ino, rec.Mode()) // for a directory that existed
	}
	for _, attr := range slices.Sorted(maps.Keys(e.Xattrs)) {
		if !names.IsACL(attr) {
			if err := s.xattr(ino, rec, attr, e.Xattrs[attr]); err != nil {
				return &XattrError{attr, err}
			}
		}
	}
	if rec.IsDir() {
		if err := f.names.ChmodACL(s.h, ino, rec.Mode()); err != nil {
			return err
		}
	}
	for _, attr := range []string{XattrACLAccess, XattrACLDefault} {
		if value, ok := e.Xattrs[attr]; ok {
			if err := f.names.SetACL(s.h, ino, rec, attr, value); err != nil && err != names.ErrSame {
				return &XattrError{attr, err}
			}
		}
	}
	return nil
}

// xattr sets one attribute, under the rules of SetXattr.
func (s *making) xattr(ino layout.Ino, rec layout.Inode, attr string, value []byte) error {
	if err := names.CheckXattr(attr, len(value)); err != nil {
		return err
	}
	if err := names.MayXattr(rec, attr, syscall.EPERM); err != nil {
		return err
	}
	if strings.HasPrefix(attr, "system.") {
		return syscall.EOPNOTSUPP
	}
	if attr == XattrCapability {
		if !names.CapabilityOK(value) {
			return syscall.EINVAL
		}
		s.m.fs.capabilitySet(ino)
	}
	return s.m.fs.vol.Attrs.Set(s.h, ino, attr, value, 0)
}

// own sets owner, permissions and times.
func (s *making) own(e *Entry, rec layout.Inode) {
	rec.SetUID(e.UID)
	rec.SetGID(e.GID)
	perm := e.Mode & layout.ModePermMask
	if rec.IsSymlink() {
		perm = 0o777
	}
	rec.SetMode(rec.Type() | perm)
	rec.SetCtime(s.m.fs.vol.Inodes.Clock())
	if !e.Atime.IsZero() {
		rec.SetAtime(e.Atime)
	}
	if !e.Mtime.IsZero() {
		rec.SetMtime(e.Mtime)
	}
}

// run is content for adjacent blocks of the device, each piece padded to whole blocks.
type run struct {
	start, end layout.Pblk
	pieces     [][]byte
}

// fill completes an inode before it gets its name.
func (s *making) fill(e *Entry, p names.Place, ino layout.Ino, rec layout.Inode) error {
	switch e.Mode & layout.ModeTypeMask {
	case layout.ModeRegular:
		return s.content(e, ino, rec)
	case layout.ModeDir:
		return s.m.fs.names.InitDir(s.h, ino, rec, p.Dir)
	case layout.ModeSymlink:
		return s.m.fs.names.InitSymlink(s.h, ino, rec, e.Target)
	}
	return s.m.fs.names.InitSpecial(rec, e.Mode&layout.ModeTypeMask, e.Major, e.Minor)
}

// content gives a regular file its size and its data, in the inode if it fits there, or else in blocks.
func (s *making) content(e *Entry, ino layout.Ino, rec layout.Inode) error {
	bs := s.m.fs.vol.Geo.BlockSize
	if len(e.Data) == 1 && e.Data[0].Off == 0 && int64(len(e.Data[0].Data)) == e.Size {
		room, err := s.m.fs.inlineRoom(s.h, ino, rec)
		if err != nil {
			return err
		}
		if e.Size <= int64(room) {
			if err := s.m.fs.putInline(s.h, ino, e.Data[0].Data); err != nil {
				return err
			}
			return s.m.fs.vol.Inodes.SetSize(s.h, ino, uint64(e.Size))
		}
	}
	for _, piece := range e.Data {
		if piece.Off%int64(bs) != 0 || piece.Off+int64(len(piece.Data)) > e.Size {
			return fmt.Errorf("content at %d, %d bytes of %d: %w", piece.Off, len(piece.Data), e.Size, syscall.EINVAL)
		}
		l, data := layout.Lblk(piece.Off/int64(bs)), piece.Data
		for len(data) > 0 {
			x, err := s.m.fs.vol.Extents.Allocate(s.h, ino, l, uint32((len(data)+bs-1)/bs), false)
			if err != nil {
				return err
			}
			k := min(len(data), int(x.Len)*bs)
			s.add(x, data[:k])
			l, data = l+layout.Lblk(x.Len), data[k:]
		}
	}
	if err := s.m.fs.newFits(e.Size); err != nil {
		return err
	}
	return s.m.fs.vol.Inodes.SetSize(s.h, ino, uint64(e.Size))
}

// add records content for an extent.
func (s *making) add(x layout.Extent, data []byte) {
	if n := len(s.runs); n == 0 || s.runs[n-1].end != x.Pblk {
		s.runs = append(s.runs, run{start: x.Pblk, end: x.Pblk})
	}
	r := &s.runs[len(s.runs)-1]
	r.end += layout.Pblk(x.Len)
	r.pieces = append(r.pieces, data)
}

// write writes the content to the device, adjacent blocks in one write.
func (s *making) write() error {
	bs := s.m.fs.vol.Geo.BlockSize
	buf := block.Aligned(writeAtOnce, max(s.m.fs.vol.Dev.Align(), 1))
	for _, r := range s.runs {
		off, n := int64(r.start)*int64(bs), 0
		flush := func() error {
			_, err := s.m.fs.vol.Dev.WriteAt(buf[:n], off)
			off, n = off+int64(n), 0
			return err
		}
		for _, data := range r.pieces {
			for len(data) > 0 {
				if n == len(buf) {
					if err := flush(); err != nil {
						return err
					}
				}
				k := copy(buf[n:], data)
				data, n = data[k:], n+k
			}
			pad := (bs - n%bs) % bs
			clear(buf[n : n+pad])
			n += pad
		}
		if err := flush(); err != nil {
			return err
		}
	}
	return nil
}

// writeAtOnce is the largest write to the device, bytes: a multiple of every block size.
const writeAtOnce = 4 << 20
