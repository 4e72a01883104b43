package ext4

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"ext4img/ext4/internal/names"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// A Ref keeps an inode: without a name it still lives, and its number is not used again, until Release.
type Ref struct {
	Inode
	n *openInode
}

// Hold takes a reference. An inode that is free by now is syscall.ESTALE.
func (i Inode) Hold() (*Ref, *FileInfo, error) {
	v := i.fs.vol.Journal.View()
	defer v.Close()
	return i.hold(v, i.ino)
}

// LookupHeld is Lookup with a reference to what the name leads to: nothing can free it in between.
func (i Inode) LookupHeld(name string) (*Ref, *FileInfo, error) {
	v := i.fs.vol.Journal.View()
	defer v.Close()
	ino, err := i.fs.names.Lookup(v, names.Place{Dir: i.ino, Name: name})
	if err != nil {
		return nil, nil, pathError("lookup", i.at(name).String(), err)
	}
	return i.hold(v, ino)
}

// at is the spot of a name in the directory.
func (i Inode) at(name string) names.Spot { return names.Spot{At: i.ino, Path: name} }

// hold takes a reference under a view, which keeps handles from freeing the inode.
func (i Inode) hold(v *journal.View, ino layout.Ino) (*Ref, *FileInfo, error) {
	at := names.Spot{At: ino}.String()
	if err := i.fs.names.InUse(v, ino); err != nil {
		return nil, nil, pathError("lookup", at, err)
	}
	info, err := i.fs.info(v, ino, "")
	if err != nil {
		return nil, nil, pathError("lookup", at, err)
	}
	n := i.fs.get(ino)
	i.fs.mu.Lock()
	gone := n.deleted
	i.fs.mu.Unlock()
	if gone { // its last reference went a moment ago
		return nil, nil, pathError("lookup", at, errors.Join(syscall.ESTALE, i.fs.put(n)))
	}
	return &Ref{Inode{i.fs, ino}, n}, info, nil
}

// Release gives the reference back. The last one of an inode without a name deletes the inode, which may take long.
func (r *Ref) Release() error { return pathError("release", r.spot().String(), r.fs.put(r.n)) }

// New says what Inode.Make makes.
type New struct {
	Mode         uint16 // i_mode: type and permissions
	Umask        uint16 // taken off the permissions where the directory has no default access control list
	UID, GID     uint32
	Target       string // of a symbolic link
	Major, Minor uint32 // of a device
}

// Make makes an inode of any type with a name in the directory, and returns a reference to it.
func (i Inode) Make(name string, m New) (*Ref, error) {
	var n *openInode
	at := i.at(name)
	tid, err := i.fs.vol.Update(i.fs.names.CreateCredits(), func(h *journal.Handle) error {
		p, err := i.fs.names.WalkNew(h, at, m.Mode&layout.ModeTypeMask == layout.ModeDir)
		if err != nil {
			return err
		}
		a, err := i.fs.masked(h, p.Dir, m)
		if err != nil {
			return err
		}
		ino, err := i.fs.names.Create(h, p, m.Mode&layout.ModeTypeMask, a, i.fs.filler(m))
		if err == nil {
			i.fs.hold(h, ino, &n)
		}
		return err
	})
	return i.made(n, tid, pathError("create", at.String(), err))
}

// MakeTemp makes a regular file that has no name until LinkHeld gives it one, and ends with its last reference otherwise.
func (i Inode) MakeTemp(m New) (*Ref, error) {
	var n *openInode
	f := i.fs
	tid, err := f.vol.Update(f.names.CreateCredits(), func(h *journal.Handle) error {
		if err := f.names.MayChangeDir(h, i.ino, false); err != nil {
			return err
		}
		a, err := f.masked(h, i.ino, m)
		if err != nil {
			return err
		}
		ino, err := f.names.New(h, i.ino, layout.ModeRegular, a, f.filler(m))
		if err != nil {
			return err
		}
		rec, err := f.vol.Inodes.Edit(h, ino)
		if err != nil {
			return err
		}
		rec.SetLinks(0)
		if err := f.vol.Inodes.AddOrphan(h, ino); err != nil {
			return err
		}
		f.hold(h, ino, &n)
		return f.names.InheritACL(h, i.ino, ino)
	})
	return i.made(n, tid, pathError("create", i.spot().String(), err))
}

func (i Inode) made(n *openInode, tid journal.TID, err error) (*Ref, error) {
	if err != nil {
		return nil, err
	}
	n.changed(tid)
	return &Ref{Inode{i.fs, n.ino}, n}, nil
}

// masked is who a new inode belongs to and what it may do: the umask counts where no default list does.
func (f *FS) masked(r journal.Reader, dir layout.Ino, m New) (names.Attr, error) {
	a := names.Attr{Perm: m.Mode & layout.ModePermMask, UID: m.UID, GID: m.GID}
	if m.Mode&layout.ModeTypeMask == layout.ModeSymlink {
		a.Perm = 0o777
		return a, nil
	}
	list, err := f.names.HasDefaultACL(r, dir)
	if err == nil && !list {
		a.Perm &^= m.Umask & 0o777
	}
	return a, err
}

// filler completes a new inode of any type.
func (f *FS) filler(m New) names.Fill {
	return func(h *journal.Handle, dir, ino layout.Ino, rec layout.Inode) error {
		switch t := m.Mode & layout.ModeTypeMask; t {
		case layout.ModeRegular:
			return nil
		case layout.ModeDir:
			return f.names.InitDir(h, ino, rec, dir)
		case layout.ModeSymlink:
			return f.names.InitSymlink(h, ino, rec, m.Target)
		default:
			return f.names.InitSpecial(rec, t, m.Major, m.Minor)
		}
	}
}

// LinkHeld is Link, also of a file that never had a name: of MakeTemp.
func (i Inode) LinkHeld(dir Inode, name string) error {
	f, to := i.fs, dir.at(name)
	tid, err := f.vol.Update(f.names.Credits(), func(h *journal.Handle) error {
		if err := f.names.InUse(h, i.ino); err != nil {
			return err
		}
		p, err := f.names.WalkNew(h, to, false)
		if err != nil {
			return err
		}
		rec, err := f.vol.Inodes.Read(h, i.ino)
		if err == nil && rec.Links() == 0 {
			err = f.vol.Inodes.DelOrphan(h, i.ino)
		}
		if err != nil {
			return err
		}
		return f.names.Link(h, i.ino, p)
	})
	if err == nil {
		f.noteChange(i.ino, tid)
	}
	return pathError("link", to.String(), err)
}

// Rename is FS.Rename of a name in the directory to one in another.
func (i Inode) Rename(name string, dir Inode, newname string, flags RenameFlags) error {
	return i.fs.renameAt(i.at(name), dir.at(newname), flags, false)
}

// SetXattr is FS.SetXattr.
func (i Inode) SetXattr(attr string, value []byte, flags int) error {
	return i.fs.setXattrAt(i.spot(), attr, value, flags, false)
}

// RemoveXattr is FS.RemoveXattr.
func (i Inode) RemoveXattr(attr string) error { return i.fs.removeXattrAt(i.spot(), attr, false) }

// A Setting is what Inode.Set changes; nil leaves a thing as it is. Without Ctime the time of change is now.
type Setting struct {
	Perm                *uint16 // as Chmod; nothing is taken off it
	UID, GID            *uint32
	Atime, Mtime, Ctime *time.Time
	Written             bool // the times are those of a write that was allowed: the file may be append-only
}

// Set changes what an inode says of itself, in one step.
func (i Inode) Set(s Setting) error {
	f := i.fs
	tid, err := f.vol.Update(f.vol.Attrs.Credits(0)+2, func(h *journal.Handle) error {
		if err := f.names.InUse(h, i.ino); err != nil {
			return err
		}
		rec, err := f.vol.Inodes.Edit(h, i.ino)
		if err != nil {
			return err
		}
		if rec.HasFlag(layout.FlagImmutable|layout.FlagAppend) && !s.Written {
			return syscall.EPERM
		}
		i.setTimes(h, rec, s)
		if s.UID != nil {
			rec.SetUID(*s.UID)
		}
		if s.GID != nil {
			rec.SetGID(*s.GID)
		}
		if s.Perm == nil {
			return nil
		}
		rec.SetMode(rec.Type() | *s.Perm&layout.ModePermMask)
		return f.names.ChmodACL(h, i.ino, *s.Perm)
	})
	if err == nil {
		f.noteChange(i.ino, tid)
	}
	return pathError("setattr", i.spot().String(), err)
}

func (i Inode) setTimes(h *journal.Handle, rec layout.Inode, s Setting) {
	f := i.fs
	if s.Atime != nil {
		rec.SetAtime(*s.Atime)
	}
	if s.Mtime != nil {
		rec.SetMtime(*s.Mtime)
		h.AtEnd(func(ok bool) {
			if ok {
				f.mtimeSet(i.ino)
			}
		})
	}
	switch {
	case s.Ctime != nil:
		rec.SetCtime(*s.Ctime)
	default:
		rec.SetCtime(f.vol.Inodes.Clock())
	}
}

// Accessed sets the time of access, and nothing else: not the time of change.
func (i Inode) Accessed(at time.Time) error {
	_, err := i.fs.vol.Update(2, func(h *journal.Handle) error {
		if err := i.fs.names.InUse(h, i.ino); err != nil {
			return err
		}
		rec, err := i.fs.vol.Inodes.Edit(h, i.ino)
		if err == nil {
			rec.SetAtime(at)
		}
		return err
	})
	return pathError("setattr", i.spot().String(), err)
}

// SetFlags replaces those bits of i_flags that are in mask.
func (i Inode) SetFlags(flags, mask uint32) error {
	_, err := i.fs.vol.Update(2, func(h *journal.Handle) error {
		if err := i.fs.names.InUse(h, i.ino); err != nil {
			return err
		}
		rec, err := i.fs.vol.Inodes.Edit(h, i.ino)
		if err != nil {
			return err
		}
		rec.SetFlags(rec.Flags()&^mask | flags&mask)
		rec.SetCtime(i.fs.vol.Inodes.Clock())
		return nil
	})
	return pathError("setflags", i.spot().String(), err)
}

// OpenShared opens a file for many users at once, each of whom keeps their own offset: for reading or, if write, for both.
// flag is how the user opens it, by which it is judged: a file that may only be appended to needs os.O_APPEND.
func (i Inode) OpenShared(flag int) (*File, error) {
	n, err := i.fs.lookupNode(i.spot(), flag&^os.O_CREATE)
	if err != nil {
		return nil, pathError("open", i.spot().String(), err)
	}
	mode := os.O_RDONLY
	if flag&(os.O_WRONLY|os.O_RDWR) != 0 {
		mode = os.O_RDWR
	}
	return &File{fs: i.fs, n: n, name: i.spot().String(), flag: mode}, nil
}

// Truncate is File.Truncate.
func (i Inode) Truncate(size int64) error {
	file, err := i.OpenShared(os.O_RDWR)
	if err != nil {
		return err
	}
	err = file.Truncate(size)
	if e := file.Close(); err == nil {
		err = e
	}
	return err
}

// Sync makes the inode durable, a directory with its names.
func (i Inode) Sync() error {
	if i.fs.vol.ReadOnly() {
		return nil
	}
	n := i.fs.get(i.ino)
	err := n.sync()
	if e := i.fs.put(n); err == nil {
		err = e
	}
	return pathError("sync", i.spot().String(), err)
}

// Failed is why no change is made any more, nil while changes are made. An aborted journal is an I/O error, an error
// that was recorded where the superblock asks for errors=remount-ro is syscall.EROFS.
func (f *FS) Failed() error {
	if err := f.vol.Journal.Err(); err != nil {
		return err
	}
	return f.vol.Changeable()
}

// Shutdown ends all changes at once, as after a power failure: what is not committed is lost. With commit it is committed
// first. Everything later is an I/O error.
func (f *FS) Shutdown(commit bool) error {
	var err error
	if commit {
		err = f.Sync()
	}
	f.vol.Journal.Abort(fmt.Errorf("shut down: %w", syscall.EIO))
	return err
}

// noteChange remembers the transaction of a change for the next Sync of an inode that is in use.
func (f *FS) noteChange(ino layout.Ino, tid journal.TID) {
	f.mu.Lock()
	n := f.nodes[ino]
	f.mu.Unlock()
	if n != nil {
		n.changed(tid)
	}
}

// Usage is what statfs(2) says of a file system.
type Usage struct {
	BlockSize     int
	Blocks        uint64 // without what metadata takes since creation
	Free          uint64 // blocks
	Available     uint64 // without those reserved for root and for splits
	Inodes, IFree uint64
}

// Usage counts what is used and free now.
func (f *FS) Usage() (Usage, error) {
	s, err := f.Super()
	if err != nil {
		return Usage{}, pathError("statfs", "/", err)
	}
	free, err := f.FreeBlocks()
	if err != nil {
		return Usage{}, pathError("statfs", "/", err)
	}
	u := Usage{BlockSize: f.vol.Geo.BlockSize, Free: s.FreeBlocksCount(), Inodes: uint64(s.InodesCount()), IFree: uint64(s.FreeInodesCount())}
	u.Blocks = s.BlocksCount() - min(s.BlocksCount(), uint64(s.OverheadClusters())*uint64(f.vol.Geo.ClusterRatio))
	u.Available = free - min(free, s.ReservedBlocksCount())
	return u, nil
}
