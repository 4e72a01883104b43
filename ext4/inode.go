package ext4

import (
	"context"
	"io/fs"

	"ext4img/ext4/internal/names"
	"ext4img/ext4/layout"
)

// An Inode is an inode by its number, and so without a path: paths are limited to 4,096 bytes, trees are not. It is a
// value, holds nothing open and costs nothing; an Open file keeps its inode from being removed and its number from being
// used again.
//
// Errors are *fs.PathError with a path such as "inode 12"; callers that know a better one replace it. An inode that is
// free is syscall.ESTALE and ErrCorrupt.
type Inode struct {
	fs  *FS
	ino layout.Ino
}

// RootIno is the number of the root directory.
const RootIno = uint32(layout.RootIno)

// Inode is the inode with a number.
func (f *FS) Inode(ino uint32) Inode { return Inode{f, layout.Ino(ino)} }

// Find is what a path leads to; follow: a symbolic link at its end is followed.
func (f *FS) Find(name string, follow bool) (Inode, error) {
	v := f.vol.Journal.View()
	defer v.Close()
	ino, err := f.names.Walk(v, root(name), follow)
	return Inode{f, ino}, pathError("lookup", name, err)
}

// Ino is the number.
func (i Inode) Ino() uint32 { return uint32(i.ino) }

func (i Inode) spot() names.Spot { return names.Spot{At: i.ino} }

// Lookup is what a name in a directory leads to.
func (i Inode) Lookup(name string) (Inode, error) {
	v := i.fs.vol.Journal.View()
	defer v.Close()
	ino, err := i.fs.names.Lookup(v, names.Place{Dir: i.ino, Name: name})
	return Inode{i.fs, ino}, pathError("lookup", names.Spot{At: i.ino, Path: name}.String(), err)
}

// Stat describes the inode. name is what the FileInfo says as its name.
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

// Open opens a regular file or a directory with the flags of OpenFile; it creates nothing. name is what errors of the
// File say.
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

// Mknod is FS.Mknod of a name in the directory.
func (i Inode) Mknod(name string, mode uint16, a Attr, major, minor uint32) (Inode, error) {
	ino, err := i.fs.mknodAt(names.Spot{At: i.ino, Path: name}, mode, a, major, minor)
	return Inode{i.fs, ino}, err
}

// Link gives the inode one more name, in the directory dir.
func (i Inode) Link(dir Inode, name string) error {
	return i.fs.linkAt(i.spot(), names.Spot{At: dir.ino, Path: name})
}

// LinkOver is FS.LinkOver of the inode and a name in the directory dir.
func (i Inode) LinkOver(dir Inode, name string) error {
	return i.fs.linkOver(i.spot(), names.Spot{At: dir.ino, Path: name})
}

// SymlinkOver is FS.SymlinkOver of a name in the directory.
func (i Inode) SymlinkOver(target, name string, a Attr) (Inode, error) {
	ino, err := i.fs.symlinkOver(target, names.Spot{At: i.ino, Path: name}, a)
	return Inode{i.fs, ino}, err
}

// Remove is FS.Remove of a name in the directory.
func (i Inode) Remove(name string) error {
	s := names.Spot{At: i.ino, Path: name}
	return pathError("remove", s.String(), i.fs.remove(s, i.fs.names.Remove))
}

// A DirEntry is one name of a directory.
type DirEntry struct {
	Name string
	Ino  uint32
	Type fs.FileMode // as the directory stores it; fs.ModeIrregular where it stores none
}

// Entries calls fn with each name of a directory but "." and "..", in the order of their bytes, until it returns an
// error. They take about 14 bytes of memory each besides their own bytes, 48 MiB at most: a larger
// directory is read several times. What is read once is as it was at one moment.
//
// What is wrong with a part of the directory is told to bad, before the first name, and the rest comes even so, unless bad
// returns an error. With a nil bad the first such error ends it.
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
