package ext4

import (
	"io/fs"
	"os"
	"syscall"

	"ext4img/ext4/internal/names"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// A Draft is new content for a file, or a new file, that is being written. It is written through File and has no
// name. Until Commit, the file that it is to replace stays as it is. Commit is one step: a crash at any moment leaves
// either the old content or the new, complete. A crash before Commit leaves nothing of the draft.
//
// An existing file keeps its number, links, permissions, owner, attributes, flags, and times of access and birth.
// Commit exchanges the block maps of the file and of the draft's inode. Then the draft's inode, which is an orphan
// and has the old content, is deleted. So all names of the file see the new content.
//
// Nodes of an extent tree carry checksums that depend on the number and generation of their inode. The draft's inode
// has the one generation with which these checksums are the same as for the file. So no node must be written again,
// and any map can be exchanged in one handle.
type Draft struct {
	File *File // to write the content; Commit and Discard close it

	fs     *FS
	spot   names.Spot
	o      DraftOptions
	target *openInode // the file that gets the content; nil if the name is new or is replaced
}

// DraftOptions say how a Draft is to be used.
type DraftOptions struct {
	// New is the owner and the permissions of a new file.
	New Attr
	// SetPerm, SetUID and SetGID say that an existing file also gets the permissions, the owner and the group of New.
	SetPerm, SetUID, SetGID bool
	// Size is the number of bytes of the content, if known. If they do not fit, Draft returns syscall.ENOSPC or EFBIG
	// before anything changes.
	Size int64
	// Follow: a symbolic link at the end of the path is followed; otherwise it is an error, syscall.ELOOP.
	Follow bool
	// Name replaces the name and not the content: the name leads to a new inode, and the old inode, which may be
	// anything but a directory, loses a link.
	Name bool
}

// Draft begins new content for the file at a path, which need not exist. It checks everything that Commit needs,
// except the room for a name. The errors are syscall.EISDIR for a directory, EPERM for a file that must not be
// changed, ENXIO for a file without content.
func (f *FS) Draft(name string, o DraftOptions) (*Draft, error) {
	d, err := f.draft(root(name), o)
	return d, pathError("create", name, err)
}

// Draft is FS.Draft of a name in the directory.
func (i Inode) Draft(name string, o DraftOptions) (*Draft, error) {
	s := names.Spot{At: i.ino, Path: name}
	d, err := i.fs.draft(s, o)
	return d, pathError("create", s.String(), err)
}

func (f *FS) draft(s names.Spot, o DraftOptions) (*Draft, error) {
	d := &Draft{fs: f, spot: s, o: o}
	if err := d.judge(); err != nil {
		return nil, err
	}
	var n *openInode
	tid, err := f.vol.Update(f.names.Credits(), func(h *journal.Handle) error {
		p, old, err := d.find(h)
		if err != nil {
			return err
		}
		if o.Name {
			old = 0
		}
		made, err := d.blank(h, p, old)
		if err != nil {
			return err
		}
		f.hold(h, made, &n)
		if old != 0 {
			f.hold(h, old, &d.target) // so that its number is not used again
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	n.changed(tid)
	d.File = &File{fs: f, n: n, name: s.Path, flag: os.O_RDWR}
	return d, nil
}

// judge checks, before anything changes, the path, the blocks that will be freed, and the free space.
func (d *Draft) judge() error {
	f := d.fs
	v := f.vol.Journal.View()
	defer v.Close()
	_, old, err := d.find(v)
	if err == nil && old != 0 && !d.o.Name {
		err = f.vol.Extents.Inspect(v, old, 0, ^layout.Lblk(0))
	}
	if err != nil {
		return err
	}
	if err := f.newFits(d.o.Size); err != nil {
		return err
	}
	first, end := f.blocks(0, max(d.o.Size, 0))
	return f.enough(v, uint64(end-first))
}

// find finds the place of the draft, and the inode there, or 0.
func (d *Draft) find(r journal.Reader) (p names.Place, ino layout.Ino, err error) {
	f := d.fs
	if d.o.Follow {
		p, ino, err = f.names.WalkOpen(r, d.spot, os.O_CREATE)
	} else if p, err = f.names.WalkParent(r, d.spot); err == nil {
		if !p.Named() || p.Slash {
			return p, 0, syscall.EISDIR
		}
		ino, err = f.names.Lookup(r, p)
	}
	if isNotExist(err) && p.Named() {
		return p, 0, f.names.MayChangeDir(r, p.Dir, false)
	}
	if err != nil {
		return p, 0, err
	}
	rec, err := f.vol.Inodes.Read(r, ino)
	switch {
	case err != nil:
		return p, 0, err
	case d.o.Name && rec.IsDir():
		return p, 0, syscall.EISDIR
	case d.o.Name:
		if err := f.names.MayChangeDir(r, p.Dir, false); err != nil {
			return p, 0, err
		}
		return p, ino, f.names.MayRemove(r, p.Dir, ino)
	case rec.IsSymlink():
		return p, 0, syscall.ELOOP
	}
	return p, ino, f.mayOpen(ino, rec, true, os.O_CREATE|os.O_TRUNC)
}

// blank makes the draft's inode, which is one of the orphans. old is the file that is to get its content, or 0.
func (d *Draft) blank(h *journal.Handle, p names.Place, old layout.Ino) (layout.Ino, error) {
	f := d.fs
	ino, rec, err := f.names.Tmpfile(h, p.Dir, names.Attr(d.o.New))
	if err != nil {
		return 0, err
	}
	if old != 0 {
		twin, err := f.vol.Inodes.Read(h, old)
		if err != nil {
			return 0, err
		}
		rec.SetGeneration(f.vol.Geo.TwinGeneration(ino, old, twin.Generation()))
	}
	return ino, nil
}

// Discard deletes the draft. After Commit it does nothing.
func (d *Draft) Discard() error {
	if d.File.isClosed() {
		return nil
	}
	err := d.File.Close()
	if d.target == nil {
		return err
	}
	if e := d.fs.put(d.target); err == nil {
		err = e
	}
	return err
}

// Commit puts the draft in its place. After an error the draft is discarded, and nothing has changed. Content written
// before Commit becomes durable together with the step: with the next Sync of the file system, or of the file. The
// error is syscall.ESTALE if the path leads to another file by now.
func (d *Draft) Commit() error {
	if d.File.isClosed() {
		return pathError("commit", d.spot.String(), fs.ErrClosed)
	}
	n := d.File.n
	err := n.alone(func() error {
		if d.target == nil {
			return d.giveName()
		}
		return d.target.alone(d.exchange)
	})
	if e := d.Discard(); err == nil {
		err = e
	}
	return pathError("commit", d.spot.String(), err)
}

// giveName gives the draft's inode the name.
func (d *Draft) giveName() error {
	f, n := d.fs, d.File.n
	return f.takeName(f.names.CreateCredits(), func(h *journal.Handle) (gone layout.Ino, err error) {
		p, old, err := d.find(h)
		if err == nil && old != 0 && !d.o.Name {
			err = syscall.ESTALE
		}
		if err != nil {
			return 0, err
		}
		n.changes(h)
		return old, f.names.LinkTmpfileOver(h, n.ino, p, old)
	})
}

// exchange exchanges the contents of the target and of the draft's inode. If the content fits into the target's
// record, it goes there.
func (d *Draft) exchange() error {
	f, n, t := d.fs, d.File.n, d.target
	small, err := n.content(t)
	if err != nil {
		return err
	}
	tid, err := f.vol.Update(f.names.Credits()+2*f.vol.Attrs.Credits(0), func(h *journal.Handle) error {
		_, ino, err := d.find(h)
		if err == nil && ino != t.ino {
			err = syscall.ESTALE
		}
		if err != nil {
			return err
		}
		for _, ino := range []layout.Ino{t.ino, n.ino} {
			if err := f.dropInline(h, ino); err != nil {
				return err
			}
		}
		if err := f.vol.Extents.Inspect(h, t.ino, 0, ^layout.Lblk(0)); err != nil {
			return err
		}
		own, err := f.vol.Attrs.Blocks(h, t.ino)
		if err != nil {
			return err
		}
		if err := f.vol.Inodes.SwapMaps(h, t.ino, n.ino, [2]int64{own, 0}); err != nil {
			return err
		}
		if small != nil {
			if err := f.putInline(h, t.ino, small); err != nil {
				return err
			}
			if err := f.vol.Inodes.SetSize(h, t.ino, uint64(len(small))); err != nil {
				return err
			}
		}
		if err := f.names.DropCapability(h, t.ino); err != nil {
			return err
		}
		if err := d.setAttrs(h, t.ino); err != nil {
			return err
		}
		return t.setTimes(h)
	})
	if err == nil {
		t.changed(tid)
		n.changed(tid)
		t.dirty.Store(true)
	}
	return err
}

// setAttrs gives an existing file the attributes in the options.
func (d *Draft) setAttrs(h *journal.Handle, ino layout.Ino) error {
	rec, err := d.fs.vol.Inodes.Edit(h, ino)
	if err != nil {
		return err
	}
	if d.o.SetUID {
		rec.SetUID(d.o.New.UID)
	}
	if d.o.SetGID {
		rec.SetGID(d.o.New.GID)
	}
	if d.o.SetUID || d.o.SetGID {
		names.DropSetID(rec)
	}
	if !d.o.SetPerm {
		return nil
	}
	rec.SetMode(rec.Type() | d.o.New.Perm&layout.ModePermMask)
	return d.fs.names.ChmodACL(h, ino, d.o.New.Perm)
}

// content returns the content in the inode's record, if it fits into the record of t. If it does not fit, it moves to
// a block. For content in blocks, content returns nil.
func (n *openInode) content(t *openInode) (small []byte, err error) {
	fits := false
	err = n.inode(func(v *journal.View, rec layout.Inode) error {
		if !rec.HasFlag(layout.FlagInlineData) {
			return nil
		}
		room, err := n.fs.vol.Attrs.InlineRoom(v, t.ino)
		if err != nil || room < 0 || rec.Size() > uint64(layout.InodeBlockSize+room) {
			return err
		}
		fits, small = true, make([]byte, rec.Size())
		return n.fs.vol.Attrs.ReadInline(v, n.ino, rec, small, 0)
	})
	if err != nil || fits {
		return small, err
	}
	return nil, n.moveOutOfInode()
}

// dropInline empties a file whose data lies in its inode, and gives it an empty map.
func (f *FS) dropInline(h *journal.Handle, ino layout.Ino) error {
	rec, err := f.vol.Inodes.Edit(h, ino)
	if err != nil || !rec.HasFlag(layout.FlagInlineData) {
		return err
	}
	if err := f.vol.Attrs.DropInline(h, ino); err != nil {
		return err
	}
	rec.SetFlags(rec.Flags() &^ layout.FlagInlineData)
	f.vol.Inodes.InitMap(rec)
	return f.vol.Inodes.SetSize(h, ino, 0)
}
