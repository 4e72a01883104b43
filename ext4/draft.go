package ext4

import (
	"io/fs"
	"os"
	"syscall"

	"ext4img/ext4/internal/names"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// A Draft is a file's new content, or a new file, on its way. It is written through File, has no name, and takes nothing
// away from what it is to replace until Commit, which is one step: a crash at any moment leaves the old content or the
// new, whole, and of a draft that was not committed nothing.
//
// A file that exists stays the file that it is: number, links, permissions, owner, attributes, flags and times of access
// and birth. Commit exchanges the block maps of the file and of the draft's inode, and the draft's inode, by then among
// the orphans with the old content, is deleted. So links that nobody here knows of see the new content, too.
//
// Nodes of an extent tree carry checksums of their inode's number and generation. The draft's inode has the one
// generation that makes them the same as those of the file: then no node has to be written again, and any map can be
// exchanged in one handle.
type Draft struct {
	File *File // for its content; Commit and Discard close it

	fs     *FS
	spot   names.Spot
	o      DraftOptions
	target *openInode // the file that gets the content; nil: the name is new, or is replaced
}

// DraftOptions say what a Draft is for.
type DraftOptions struct {
	// New is what a new file belongs to and its permissions.
	New Attr
	// SetPerm, SetUID and SetGID give a file that exists the permissions, the owner and the group of New, too.
	SetPerm, SetUID, SetGID bool
	// Size is how many bytes of content there will be, if that is known: syscall.ENOSPC or EFBIG before anything changes.
	Size int64
	// Follow: a symbolic link at the end of the path is followed, else it is syscall.ELOOP.
	Follow bool
	// Name replaces the name and not the content: it leads to a new inode, and what it led to, which may be anything
	// but a directory, loses a link.
	Name bool
}

// Draft begins the new content of what a path leads to, which need not exist. It judges all that Commit will ask for but
// the room for a name: syscall.EISDIR for a directory, EPERM for what must not be changed, ENXIO for what has no content.
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
			f.hold(h, old, &d.target) // so that its number stays its own
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

// judge looks at what the draft is for before anything changes: the path, what will be freed, then the room.
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

// find is where the draft goes, and what is there; 0 for nothing.
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

// blank makes the draft's inode, one of the orphans; old is the file that is to get its content, or 0.
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

// Discard gives the draft up. After Commit it does nothing.
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

// Commit puts the draft in its place; after an error it is discarded, and nothing has changed. Content that was written
// by then is durable when the step is: with the next Sync of the file system, or of the file. syscall.ESTALE says that
// the path leads to something else by now.
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

// exchange gives the target the draft's content, and the draft's inode that of the target. Content that fits into the
// target's record goes there.
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

// setAttrs gives a file that existed what the options say.
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

// content is what lies in the inode's record, if it fits into that of t. What does not moves to a block; then, and for
// content in blocks, it is nil.
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

// dropInline leaves a file whose data lies in its inode empty, with a map.
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
