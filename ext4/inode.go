package ext4

import (
	"context"
	"io/fs"

	"ext4img/ext4/internal/names"
	"ext4img/ext4/layout"
)

// An Inode is an inode identified by its number instead of a path. (Paths are limited to 4,096 bytes; trees are not.)
// It is a value, holds nothing open and costs nothing. Only an open File keeps its inode from being removed and its
// number from being used again.
//
// Errors are *fs.PathError with a path such as "inode 12", which callers may replace by a better one. The error for a
// free inode is syscall.ESTALE and ErrCorrupt.
type Inode struct {
	fs  *FS
	ino layout.Ino
}

// RootIno is the number of the root directory.
const RootIno = uint32(layout.RootIno)

// Inode returns the inode with a number.
func (f *FS) Inode(ino uint32) Inode { return Inode{f, layout.Ino(ino)} }

// Find returns the inode to which a path leads. If follow is set, a symbolic link at its end is followed.
func (f *FS) Find(name string, follow bool) (Inode, error) {
	v := f.vol.Journal.View()
	defer v.Close()
	ino, err := f.names.Walk(v, root(name), follow)
	return Inode{f, ino}, pathError("lookup", name, err)
}

// Ino is the number.
func (i Inode) Ino() uint32 { return uint32(i.ino) }

func (i Inode) spot() names.Spot { return names.Spot{At: i.ino} }

// Lookup returns the inode to which a name in a directory leads.
func (i Inode) Lookup(name string) (Inode, error) {
	v := i.fs.vol.Journal.View()
	defer v.Close()
	ino, err := i.fs.names.Lookup(v, names.Place{Dir: i.ino, Name: name})
	return Inode{i.fs, ino}, pathError("lookup", names.Spot{At: i.ino, Path: name}.String(), err)
}

// Stat describes the inode. name becomes the name of the FileInfo.
func (i Inode) Stat(name string) (*FileInfo, error) {
	v := i.fs.vol.Journal.View()
	defer v.Close()
	err := i.fs.names.InUse(v, i.ino)
	var info *FileInfo
	if err == nil {
		info, err = i.fs.info(v, i.ino, name)
	}
	return info, pathError("stat", i.spot().String(), err)
}

// Readlink returns the text of a symbolic link.
func (i Inode) Readlink() (string, error) { return i.fs.readlinkAt(i.spot()) }

// Open opens a regular file or a directory with the flags of OpenFile; it creates nothing. name is the path in errors
// of the File.
func (i Inode) Open(name string, flag int) (*File, error) {
	n, err := i.fs.lookupNode(i.spot(), flag)
	if err != nil {
		return nil, pathError("open", i.spot().String(), err)
	}
	file, err := i.fs.opened(n, name, flag)
	return file, pathError("open", i.spot().String(), err)
}

// Chmod is FS.Chmod.
func (i Inode) Chmod(perm uint16) error { return i.fs.chmodAt(i.spot(), perm) }

// Chown is FS.Lchown.
func (i Inode) Chown(uid, gid int) error { return i.fs.chown("chown", i.spot(), uid, gid, false) }

// Xattr is FS.Xattr.
func (i Inode) Xattr(attr string) ([]byte, error) { return i.fs.xattrAt(i.spot(), attr, false) }

// Xattrs is FS.Xattrs.
func (i Inode) Xattrs() ([]string, error) { return i.fs.xattrsAt(i.spot(), false) }

// Mkdir makes a directory with a name in the directory.
func (i Inode) Mkdir(name string, a Attr) (Inode, error) {
	ino, err := i.fs.mkdirAt(names.Spot{At: i.ino, Path: name}, a)
	return Inode{i.fs, ino}, err
}

// Symlink makes a symbolic link to target with a name in the directory.
func (i Inode) Symlink(target, name string, a Attr) (Inode, error) {
	ino, err := i.fs.symlinkAt(target, names.Spot{At: i.ino, Path: name}, a)
	return Inode{i.fs, ino}, err
}

// Mknod is FS.Mknod for a name in the directory.
func (i Inode) Mknod(name string, mode uint16, a Attr, major, minor uint32) (Inode, error) {
	ino, err := i.fs.mknodAt(names.Spot{At: i.ino, Path: name}, mode, a, major, minor)
	return Inode{i.fs, ino}, err
}

// Link gives the inode another name, in the directory dir.
func (i Inode) Link(dir Inode, name string) error {
	return i.fs.linkAt(i.spot(), names.Spot{At: dir.ino, Path: name})
}

// LinkOver is FS.LinkOver for the inode and a name in the directory dir.
func (i Inode) LinkOver(dir Inode, name string) error {
	return i.fs.linkOver(i.spot(), names.Spot{At: dir.ino, Path: name})
}

// SymlinkOver is FS.SymlinkOver for a name in the directory.
func (i Inode) SymlinkOver(target, name string, a Attr) (Inode, error) {
	ino, err := i.fs.symlinkOver(target, names.Spot{At: i.ino, Path: name}, a)
	return Inode{i.fs, ino}, err
}

// Remove is FS.Remove for a name in the directory.
func (i Inode) Remove(name string) error {
	s := names.Spot{At: i.ino, Path: name}
	return pathError("remove", s.String(), i.fs.remove(s, i.fs.names.Remove))
}

// A DirEntry is one name of a directory.
type DirEntry struct {
	Name string
	Ino  uint32
	Type fs.FileMode // the type in the directory; fs.ModeIrregular if it stores none
}

// Entries calls fn with each name of a directory, without "." and "..", in the order of their bytes, until fn returns
// an error. A name takes about 14 bytes of memory in addition to its own bytes, and all names together at most 48
// MiB: a larger directory is read several times. The names of one reading are those at one moment.
//
// If a part of the directory is wrong, Entries calls bad before the first name, and goes on unless bad returns an
// error. If bad is nil, the first such error ends it.
func (i Inode) Entries(ctx context.Context, fn func(DirEntry) error, bad func(error) error) error {
	l, parts, err := i.fs.listNames(ctx, i.ino, nameMax)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if bad == nil {
			return pathError("readdir", i.spot().String(), p)
		}
		if err := bad(p); err != nil {
			return err
		}
	}
	for e, ok := l.next(); ok; e, ok = l.next() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	if l.err != nil && ctx.Err() == nil {
		return pathError("readdir", i.spot().String(), l.err)
	}
	return l.err
}
