//go:build !386 && !arm && !mips && !mipsle

package mount

import (
	"time"

	"ext4img/ext4"
	"ext4img/ext4/layout"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// attr tells the kernel what an inode says of itself.
func (s *server) attr(st *ext4.Stat, a *fuse.Attr) {
	*a = fuse.Attr{Ino: uint64(st.Ino), Size: uint64(st.Size), Blocks: st.Blocks, Mode: uint32(st.Mode), Nlink: uint32(st.Links),
		Blksize: uint32(s.bs), Rdev: device(st.Major, st.Minor)}
	a.Uid, a.Gid = s.owner(st)
	a.Atime, a.Atimensec = stamp(st.Atime)
	a.Mtime, a.Mtimensec = stamp(st.Mtime)
	a.Ctime, a.Ctimensec = stamp(st.Ctime)
}

// owner is the user and the group to which a file is shown to belong.
func (s *server) owner(st *ext4.Stat) (uid, gid uint32) {
	uid, gid = st.UID, st.GID
	if s.o.UID != nil {
		uid = *s.o.UID
	}
	if s.o.GID != nil {
		gid = *s.o.GID
	}
	return uid, gid
}

func stamp(t time.Time) (uint64, uint32) { return uint64(t.Unix()), uint32(t.Nanosecond()) }

// device is a device number as FUSE writes it.
func device(major, minor uint32) uint32 { return minor&0xFF | major<<8 | minor&^0xFF<<12 }

// deviceOf takes such a number apart.
func deviceOf(dev uint32) (major, minor uint32) { return dev >> 8 & 0xFFF, dev&0xFF | dev>>12&^0xFF }

// keep is how long the kernel may keep attributes that come with a name: while the file is written they may have changed
// since they were read.
func (s *server) keep(ino uint32) time.Duration {
	if s.nodes.written(ino) {
		return 0
	}
	s.nodes.show(ino)
	return forever
}

func (s *server) inode(id uint64) ext4.Inode { return s.fs.Inode(inoOf(id)) }

// GetAttr describes an inode.
func (s *server) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return s.attrOut(inoOf(in.NodeId), out)
}

func (s *server) attrOut(ino uint32, out *fuse.AttrOut) fuse.Status {
	out.SetTimeout(forever)
	s.nodes.show(ino) // before it is read: a write in between is told
	info, err := s.fs.Inode(ino).Stat("")
	if err != nil {
		return s.status(err)
	}
	s.attr(info.Stat(), &out.Attr)
	return fuse.OK
}

// Statx is GetAttr with the time of birth.
func (s *server) Statx(_ <-chan struct{}, in *fuse.StatxIn, out *fuse.StatxOut) fuse.Status {
	ino := inoOf(in.NodeId)
	out.SetTimeout(forever)
	s.nodes.show(ino) // before it is read: a write in between is told
	info, err := s.fs.Inode(ino).Stat("")
	if err != nil {
		return s.status(err)
	}
	st, x := info.Stat(), &out.Statx
	x.Mask, x.Blksize, x.Nlink, x.Mode = unix.STATX_BASIC_STATS, uint32(s.bs), uint32(st.Links), st.Mode
	x.Ino, x.Size, x.Blocks, x.RdevMajor, x.RdevMinor = uint64(st.Ino), uint64(st.Size), st.Blocks, st.Major, st.Minor
	x.Uid, x.Gid = s.owner(st)
	x.Atime.Sec, x.Atime.Nsec = stamp(st.Atime)
	x.Mtime.Sec, x.Mtime.Nsec = stamp(st.Mtime)
	x.Ctime.Sec, x.Ctime.Nsec = stamp(st.Ctime)
	if !st.Crtime.IsZero() {
		x.Mask |= unix.STATX_BTIME
		x.Btime.Sec, x.Btime.Nsec = stamp(st.Crtime)
	}
	return fuse.OK
}

// SetAttr changes what an inode says of itself. The kernel has judged permissions, and says what remains of set-uid.
func (s *server) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if status := s.changeable(); status != fuse.OK {
		return status
	}
	i := s.inode(in.NodeId)
	if size, ok := in.GetSize(); ok {
		if err := s.truncate(i, in, int64(size)); err != nil {
			return s.status(err)
		}
	}
	if set, any := setting(in); any {
		if err := i.Set(set); err != nil {
			return s.status(err)
		}
	}
	return s.attrOut(i.Ino(), out)
}

// truncate sets a size, by the handle that the kernel names: a file may be cut through that whatever was said since.
func (s *server) truncate(i ext4.Inode, in *fuse.SetAttrIn, size int64) error {
	if fh, ok := in.GetFh(); ok {
		if h := s.handles.get(fh); h != nil && h.file != nil {
			return h.file.Truncate(size)
		}
	}
	return i.Truncate(size)
}

// setting is what a request changes beside the size. Times alone, without that of access, are what the kernel kept of a
// write.
func setting(in *fuse.SetAttrIn) (set ext4.Setting, any bool) {
	const other = fuse.FATTR_MODE | fuse.FATTR_UID | fuse.FATTR_GID | fuse.FATTR_ATIME
	if mode, ok := in.GetMode(); ok {
		perm := uint16(mode) & layout.ModePermMask
		set.Perm, any = &perm, true
	}
	if uid, ok := in.GetUID(); ok {
		set.UID, any = &uid, true
	}
	if gid, ok := in.GetGID(); ok {
		set.GID, any = &gid, true
	}
	if t, ok := in.GetATime(); ok {
		set.Atime, any = &t, true
	}
	if t, ok := in.GetMTime(); ok {
		set.Mtime, any = &t, true
	}
	if t, ok := in.GetCTime(); ok {
		set.Ctime, any = &t, true
	}
	set.Written = in.Valid&other == 0
	return set, any
}

// accessed sets the time of access, after reading, as the options say. The kernel leaves that to the server.
func (s *server) accessed(i ext4.Inode, dir bool) {
	if s.fs.ReadOnly() || s.o.Atime == NoAtime || dir && s.o.NoDirAtime {
		return
	}
	info, err := i.Stat("")
	if err != nil {
		return // whoever reads is told by the read
	}
	st, now := info.Stat(), time.Now()
	old := !st.Atime.After(st.Mtime) || !st.Atime.After(st.Ctime) || now.Sub(st.Atime) >= 24*time.Hour
	if st.Flags&layout.FlagNoAtime == 0 && (old || s.o.Atime == StrictAtime) {
		_ = i.Accessed(now) // as in the kernel, reading goes on without it
	}
}
