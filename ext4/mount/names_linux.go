//go:build !386 && !arm && !mips && !mipsle

package mount

import (
	"errors"
	"io/fs"
	"syscall"

	"ext4img/ext4"
	"ext4img/ext4/layout"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Lookup finds the inode to which a name leads. A program that opens a file by its handle asks for "." and "..". That a name
// does not exist is an answer too, which the kernel may keep.
func (s *server) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	ref, info, err := s.lookup(s.inode(in.NodeId), name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.names > 0 && name != "." && name != "..":
		out.SetEntryTimeout(s.names)
		return fuse.OK
	case err != nil:
		return s.status(err)
	}
	s.entry(ref, info, out)
	return fuse.OK
}

func (s *server) lookup(dir ext4.Inode, name string) (*ext4.Ref, *ext4.FileInfo, error) {
	if name != "." {
		return dir.LookupHeld(name)
	}
	ref, info, err := dir.Hold()
	if errors.Is(err, syscall.ESTALE) {
		err = syscall.ESTALE // a number out of an old handle: nothing is wrong with the image
	}
	return ref, info, err
}

// entry answers with an inode, which counts as looked up.
func (s *server) entry(ref *ext4.Ref, info *ext4.FileInfo, out *fuse.EntryOut) {
	st := info.Stat()
	out.NodeId, out.Generation = idOf(st.Ino), uint64(st.Generation)
	out.SetEntryTimeout(s.names)
	s.attr(st, &out.Attr)
	if st.Ino == ext4.RootIno {
		s.nodes.discard(ref) // the kernel never forgets it
	} else {
		s.nodes.add(ref)
	}
	out.SetAttrTimeout(s.keep(st.Ino))
}

// make makes an inode and answers with it.
func (s *server) make(dir uint64, name string, m ext4.New, out *fuse.EntryOut) fuse.Status {
	if status := s.changeable(); status != fuse.OK {
		return status
	}
	ref, err := s.inode(dir).Make(name, m)
	if err != nil {
		return s.status(err)
	}
	return s.made(ref, out)
}

func (s *server) made(ref *ext4.Ref, out *fuse.EntryOut) fuse.Status {
	info, err := ref.Stat("")
	if err != nil {
		s.nodes.discard(ref)
		return s.status(err)
	}
	s.entry(ref, info, out)
	return fuse.OK
}

// Mknod makes anything but a directory or a symbolic link.
func (s *server) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	m := newNode(in.Mode, in.Umask, in.Owner)
	if m.Mode&layout.ModeTypeMask == 0 {
		m.Mode |= layout.ModeRegular
	}
	m.Major, m.Minor = deviceOf(in.Rdev)
	return s.make(in.NodeId, name, m, out)
}

func newNode(mode, umask uint32, owner fuse.Owner) ext4.New {
	return ext4.New{Mode: uint16(mode), Umask: uint16(umask), UID: owner.Uid, GID: owner.Gid}
}

// Mkdir makes a directory.
func (s *server) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return s.make(in.NodeId, name, newNode(in.Mode&uint32(layout.ModePermMask)|uint32(layout.ModeDir), in.Umask, in.Owner), out)
}

// Symlink makes a symbolic link.
func (s *server) Symlink(_ <-chan struct{}, in *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	m := newNode(uint32(layout.ModeSymlink), 0, in.Owner)
	m.Target = target
	return s.make(in.NodeId, name, m, out)
}

// Readlink is the text of a symbolic link.
func (s *server) Readlink(_ <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	i := s.inode(in.NodeId)
	target, err := i.Readlink()
	if err == nil {
		s.accessed(i, false)
	}
	return []byte(target), s.status(err)
}

// Unlink takes a name away. What it led to lives on while it is open, or known to the kernel.
func (s *server) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	if status := s.changeable(); status != fuse.OK {
		return status
	}
	return s.status(s.inode(in.NodeId).Remove(name))
}

// Rmdir takes a directory away, which is empty.
func (s *server) Rmdir(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	if status := s.changeable(); status != fuse.OK {
		return status
	}
	return s.status(s.inode(in.NodeId).Remove(name))
}

// Rename gives another name: the flags are those of renameat2(2).
func (s *server) Rename(_ <-chan struct{}, in *fuse.RenameIn, name, newname string) fuse.Status {
	if status := s.changeable(); status != fuse.OK {
		return status
	}
	return s.status(s.inode(in.NodeId).Rename(name, s.inode(in.Newdir), newname, ext4.RenameFlags(in.Flags)))
}

// Link gives one more name, or the first.
func (s *server) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	if status := s.changeable(); status != fuse.OK {
		return status
	}
	i := s.inode(in.Oldnodeid)
	ref, _, err := i.Hold()
	if err != nil {
		return s.status(err)
	}
	if err := i.LinkHeld(s.inode(in.NodeId), name); err != nil {
		s.nodes.discard(ref)
		return s.status(err)
	}
	return s.made(ref, out)
}
