//go:build !386 && !arm && !mips && !mipsle

package mount

import (
	"encoding/binary"
	"syscall"

	"ext4img/ext4"
	"ext4img/ext4/layout"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Numbers of ioctl(2), without direction and size, which differ between 32 and 64 bits.
const (
	ioctlMask    = 0xFFFF
	getFlags     = 'f'<<8 | 1
	setFlags     = 'f'<<8 | 2
	getVersion   = 'v'<<8 | 1
	fsGetXattr   = 'X'<<8 | 31
	fsSetXattr   = 'X'<<8 | 32
	goingDown    = 'X'<<8 | 125
	fsxattrSize  = 28
	fsxImmutable = 0x8
	fsxAppend    = 0x10
	fsxSync      = 0x20
	fsxNoAtime   = 0x40
	fsxNoDump    = 0x80
	fsxInherit   = 0x200
)

// flagsSettable are those that FS_IOC_SETFLAGS changes; the others stay as they are, and must be asked for as they are if they
// can be seen at all.
const flagsSettable = layout.FlagSecRm | layout.FlagUnRm | layout.FlagSync | layout.FlagImmutable | layout.FlagAppend |
	layout.FlagNoDump | layout.FlagNoAtime | layout.FlagDirSync | layout.FlagTopDir | layout.FlagProjInherit

// flagsShown are those that FS_IOC_GETFLAGS shows.
const flagsShown = flagsSettable | layout.FlagEncrypt | layout.FlagIndex | layout.FlagJournalData | layout.FlagNoTail |
	layout.FlagExtents | layout.FlagVerity | layout.FlagInlineData | layout.FlagCasefold | layout.FlagHugeFile

// fsxFlags are the flags of struct fsxattr and what they are in i_flags.
var fsxFlags = []struct{ fsx, flag uint32 }{
	{fsxImmutable, layout.FlagImmutable}, {fsxAppend, layout.FlagAppend}, {fsxSync, layout.FlagSync},
	{fsxNoAtime, layout.FlagNoAtime}, {fsxNoDump, layout.FlagNoDump}, {fsxInherit, layout.FlagProjInherit},
}

// Ioctl answers the ioctls that file systems have. The kernel has checked already whether the caller may change flags.
func (s *server) Ioctl(_ <-chan struct{}, in *fuse.IoctlIn, arg []byte, _ *fuse.IoctlOut, out []byte) fuse.Status {
	i := s.inode(in.NodeId)
	switch in.Cmd & ioctlMask {
	case getFlags, getVersion, fsGetXattr:
		info, err := i.Stat("")
		if err != nil {
			return s.status(err)
		}
		return answer(in.Cmd&ioctlMask, info.Stat(), out)
	case setFlags:
		if len(arg) < 4 {
			return fuse.EINVAL
		}
		return s.setFlags(i, binary.NativeEndian.Uint32(arg), flagsSettable)
	case fsSetXattr:
		return s.setFsxattr(i, arg)
	case goingDown:
		return s.goingDown(in, out)
	}
	return fuse.Status(syscall.ENOTTY)
}

func answer(cmd uint32, st *ext4.Stat, out []byte) fuse.Status {
	value := uint32(0)
	switch cmd {
	case getFlags:
		value = st.Flags & flagsShown
	case getVersion:
		value = st.Generation
	case fsGetXattr:
		if len(out) < fsxattrSize {
			return fuse.EINVAL
		}
		clear(out)
		for _, f := range fsxFlags {
			if st.Flags&f.flag != 0 {
				value |= f.fsx
			}
		}
		binary.NativeEndian.PutUint32(out[12:], st.Project)
	}
	if len(out) < 4 {
		return fuse.EINVAL
	}
	if cmd != fsGetXattr {
		clear(out)
	}
	binary.NativeEndian.PutUint32(out, value)
	return fuse.OK
}

// setFlags sets the flags in mask. Others that can be seen must be as they are.
func (s *server) setFlags(i ext4.Inode, flags, mask uint32) fuse.Status {
	if status := s.changeable(); status != fuse.OK {
		return status
	}
	info, err := i.Stat("")
	if err != nil {
		return s.status(err)
	}
	st := info.Stat()
	if st.Mode&layout.ModeTypeMask != layout.ModeDir {
		mask &^= layout.FlagDirSync | layout.FlagTopDir
	}
	if mask&flagsSettable == mask && (flags^st.Flags)&flagsShown&^flagsSettable != 0 {
		return fuse.Status(syscall.EOPNOTSUPP)
	}
	return s.status(i.SetFlags(flags, mask))
}

// setFsxattr sets flags by struct fsxattr. The project cannot be changed: quotas would have to be moved.
func (s *server) setFsxattr(i ext4.Inode, arg []byte) fuse.Status {
	if len(arg) < fsxattrSize {
		return fuse.EINVAL
	}
	info, err := i.Stat("")
	if err != nil {
		return s.status(err)
	}
	want, known := binary.NativeEndian.Uint32(arg), uint32(0)
	flags, mask := info.Stat().Flags, uint32(0)
	for _, f := range fsxFlags {
		known |= f.fsx
		mask |= f.flag
		if flags &^= f.flag; want&f.fsx != 0 {
			flags |= f.flag
		}
	}
	if want&^known != 0 || binary.NativeEndian.Uint32(arg[4:]) != 0 || binary.NativeEndian.Uint32(arg[12:]) != info.Stat().Project {
		return fuse.Status(syscall.EOPNOTSUPP)
	}
	return s.setFlags(i, flags, mask)
}

// goingDown ends all changes, as after a power failure. The number of the command says that it returns data. So the
// kernel does not pass the argument on, and it is read from the memory of the calling process.
func (s *server) goingDown(in *fuse.IoctlIn, out []byte) fuse.Status {
	const noLogFlush = 2
	var how [4]byte
	if in.Uid != 0 || len(out) < len(how) {
		return fuse.EPERM
	}
	n, err := unix.ProcessVMReadv(int(in.Pid), []unix.Iovec{{Base: &how[0], Len: uint64(len(how))}},
		[]unix.RemoteIovec{{Base: uintptr(in.Arg), Len: len(how)}}, 0)
	if err != nil || n != len(how) {
		return fuse.Status(syscall.EFAULT)
	}
	mode := binary.NativeEndian.Uint32(how[:])
	if mode > noLogFlush {
		return fuse.EINVAL
	}
	copy(out, how[:])
	s.faults.tell("shut down on request")
	s.down.Store(true)
	return s.status(s.fs.Shutdown(mode != noLogFlush))
}

// changeable tells whether changes are still made: after a shutdown none is, nor after an error that has ended the journal or,
// where the superblock asks for that, shown damage.
func (s *server) changeable() fuse.Status {
	err := s.fs.Failed()
	switch {
	case err == nil:
		return fuse.OK
	case s.down.Load():
		return fuse.EIO
	}
	s.note(err)
	return fuse.EROFS
}
