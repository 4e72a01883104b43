package ext4

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"ext4img/ext4/internal/names"
	"ext4img/ext4/layout"
)

// outcome is the answer to an operation.
type outcome struct {
	err  syscall.Errno
	data string // what was read
}

func (o outcome) String() string {
	if o.err != 0 {
		return o.err.Error()
	}
	if len(o.data) > 60 {
		return fmt.Sprintf("ok, %d bytes %.60q…", len(o.data), o.data)
	}
	return fmt.Sprintf("ok %q", o.data)
}

// apply carries out an operation on the model.
func (m *model) apply(o *operation) outcome {
	switch o.kind {
	case opMkdir, opSymlink, opMknod:
		return outcome{err: m.creation(o)}
	case opLink:
		return outcome{err: m.link(o)}
	case opUnlink, opRmdir:
		return outcome{err: m.remove(o)}
	case opRename:
		return outcome{err: m.rename(o)}
	case opOpen:
		return outcome{err: m.open(o)}
	case opStat, opReadlink, opGetxattr, opSetxattr, opRemovexattr, opChmod, opChown, opLchown, opChtimes, opLchtimes:
		if e := o.badXattr(); e != 0 {
			return outcome{err: e}
		}
		n, e := m.resolve(o.path, o.follows())
		if e != 0 {
			return outcome{err: e}
		}
		return m.attribute(o, n)
	case opSync:
		return outcome{}
	}
	return m.file(o)
}

func (m *model) open(o *operation) syscall.Errno {
	var links int
	p, e := m.parent(m.root, o.path, &links)
	if e != 0 {
		return e
	}
	n, e := m.openAt(o, p, &links)
	if e != 0 {
		return e
	}
	if o.flag&os.O_TRUNC != 0 {
		delete(n.xattrs, XattrCapability)
		n.data = nil
		n.m, n.c = m.stamp(), m.stamp()
	}
	m.fds[o.fd] = mfile{n, o.flag}
	return 0
}

// openAt finds or makes the file to be opened.
func (m *model) openAt(o *operation, p mpath, links *int) (*mnode, syscall.Errno) {
	create, excl := o.flag&os.O_CREATE != 0, o.flag&(os.O_EXCL|os.O_CREATE) == os.O_EXCL|os.O_CREATE
	switch {
	case create && !p.normal() && excl:
		return nil, syscall.EEXIST
	case create && (!p.normal() || p.slash):
		return nil, syscall.EISDIR
	case p.last == "":
		return m.mayOpen(o, p.dir)
	}
	n, e := m.step(p.dir, p.last)
	switch {
	case e == syscall.ENOENT && create:
		return m.make(p, layout.ModeRegular|o.mode), 0
	case e != 0:
		return nil, e
	case excl:
		return nil, syscall.EEXIST
	case n.isLink():
		if *links++; *links > names.MaxLinks {
			return nil, syscall.ELOOP
		}
		next, e := m.parent(p.dir, n.target, links)
		if e != 0 {
			return nil, e
		}
		next.slash = next.slash || p.slash
		return m.openAt(o, next, links)
	case p.slash && !n.isDir():
		return nil, syscall.ENOTDIR
	}
	return m.mayOpen(o, n)
}

func (m *model) mayOpen(o *operation, n *mnode) (*mnode, syscall.Errno) {
	if n.isDir() && o.flag&(os.O_WRONLY|os.O_RDWR|os.O_CREATE|os.O_TRUNC) != 0 {
		return nil, syscall.EISDIR
	}
	return n, 0
}

// attribute is an operation on one inode that a path leads to.
func (m *model) attribute(o *operation, n *mnode) outcome {
	switch o.kind {
	case opStat:
		return outcome{data: fmt.Sprintf("%o %d %d %d %d", n.mode, n.links, n.uid, n.gid, n.size())}
	case opReadlink:
		if !n.isLink() {
			return outcome{err: syscall.EINVAL}
		}
		return outcome{data: n.target}
	case opGetxattr, opSetxattr, opRemovexattr:
		return m.xattr(o, n)
	case opChmod:
		n.mode = n.typ() | o.mode
		if list := n.acl(XattrACLAccess); list != nil {
			list.SetPerm(o.mode)
			n.putACL(XattrACLAccess, list)
		}
	case opChown, opLchown:
		if o.uid >= 0 {
			n.uid = uint32(o.uid)
		}
		if o.gid >= 0 {
			n.gid = uint32(o.gid)
		}
		if !n.isDir() {
			delete(n.xattrs, XattrCapability)
			n.mode &^= layout.ModeSetUID
			if n.mode&0o010 != 0 {
				n.mode &^= layout.ModeSetGID
			}
		}
	default:
		if !o.atime.IsZero() {
			n.a = stampTime{at: m.clamp(o.atime)}
		}
		if !o.mtime.IsZero() {
			n.m = stampTime{at: m.clamp(o.mtime)}
		}
	}
	n.c = m.stamp()
	return outcome{}
}

// clamp is a time as an inode holds it.
func (m *model) clamp(t time.Time) time.Time {
	lowest, highest := int64(-1<<31), int64(1<<31-1+3<<32)
	if m.seconds {
		t, highest = t.Truncate(time.Second), 1<<31-1
	}
	switch {
	case t.Unix() <= lowest:
		return time.Unix(lowest, 0)
	case t.Unix() >= highest:
		return time.Unix(highest, 0)
	}
	return t
}

func (n *mnode) size() int {
	switch {
	case n.isDir():
		return 0 // is the image's own affair
	case n.isLink():
		return len(n.target)
	}
	return len(n.data)
}

func (m *model) xattr(o *operation, n *mnode) outcome {
	if names.IsACL(o.attr) {
		return m.aclAttribute(o, n)
	}
	_, suffix, _ := strings.Cut(o.attr, ".")
	user := strings.HasPrefix(o.attr, "user.")
	_, exists := n.xattrs[o.attr]
	change := o.kind != opGetxattr
	switch {
	case user && !n.isRegular() && !n.isDir() && change:
		return outcome{err: syscall.EPERM}
	case user && !n.isRegular() && !n.isDir():
		return outcome{err: ErrNoXattr}
	case !user && !strings.HasPrefix(o.attr, "trusted.") && !strings.HasPrefix(o.attr, "security."):
		return outcome{err: syscall.EOPNOTSUPP}
	case suffix == "":
		return outcome{err: syscall.EINVAL}
	case o.kind == opSetxattr && o.attr == XattrCapability && !names.CapabilityOK(o.value()):
		return outcome{err: syscall.EINVAL}
	case o.kind == opSetxattr && exists && o.flag == XattrCreate:
		return outcome{err: syscall.EEXIST}
	case !exists && (o.kind != opSetxattr || o.flag == XattrReplace):
		return outcome{err: ErrNoXattr}
	case o.kind == opGetxattr:
		return outcome{data: string(n.xattrs[o.attr])}
	case o.kind == opSetxattr && exists && string(n.xattrs[o.attr]) == string(o.value()):
		return outcome{}
	case o.kind == opSetxattr:
		n.xattrs[o.attr] = o.value()
	default:
		delete(n.xattrs, o.attr)
	}
	n.c = m.stamp()
	return outcome{}
}

// badXattr is what is wrong with the arguments alone.
func (o *operation) badXattr() syscall.Errno {
	switch {
	case len(o.attr) > 255:
		return syscall.ERANGE
	case o.kind == opSetxattr && o.n > 65536:
		return syscall.E2BIG
	}
	return 0
}

// xattrRoom is what the attributes of an inode need beside a new one.
func (n *mnode) xattrRoom() (sum int) {
	for name, v := range n.xattrs {
		sum += len(name) + len(v) + 24
	}
	return sum
}

// file is an operation on an open file.
func (m *model) file(o *operation) outcome {
	f := m.fds[o.fd]
	n := f.n
	readable, writable := f.flag&(os.O_WRONLY|os.O_RDWR) != os.O_WRONLY, f.flag&(os.O_WRONLY|os.O_RDWR) != 0
	switch o.kind {
	case opClose:
		m.fds[o.fd] = mfile{}
		return outcome{}
	case opFsync:
		return outcome{}
	case opRead, opQRead:
		switch {
		case o.off < 0:
			return outcome{err: syscall.EINVAL}
		case !readable:
			return outcome{err: syscall.EBADF}
		case n.isDir():
			return outcome{err: syscall.EISDIR}
		}
		at := min(o.off, int64(len(n.data)))
		return outcome{data: string(n.data[at:min(at+o.n, int64(len(n.data)))])}
	case opWrite:
		switch {
		case o.off < 0:
			return outcome{err: syscall.EINVAL}
		case !writable:
			return outcome{err: syscall.EBADF}
		case o.n == 0:
			return outcome{}
		case o.off >= m.maxSize:
			return outcome{err: syscall.EFBIG}
		}
		m.write(n, o.off, content(o.fill, int(o.n)))
	case opQWrite:
		if !writable {
			return outcome{err: syscall.EBADF}
		}
		for _, p := range o.parts {
			m.write(n, p.off, content(p.fill, int(p.n)))
		}
	case opTruncate:
		switch {
		case o.off < 0 || !writable:
			return outcome{err: syscall.EINVAL}
		case o.off > m.maxSize:
			return outcome{err: syscall.EFBIG}
		}
		delete(n.xattrs, XattrCapability)
		n.resize(o.off)
		n.m, n.c = m.stamp(), m.stamp()
	case opFallocate:
		return outcome{err: m.fallocate(o, n, writable)}
	case opDig:
		n.m, n.c = stampTime{any: true}, stampTime{any: true}
	}
	return outcome{}
}

func (m *model) write(n *mnode, off int64, p []byte) {
	delete(n.xattrs, XattrCapability)
	if end := off + int64(len(p)); end > int64(len(n.data)) {
		n.resize(end)
	}
	copy(n.data[off:], p)
	n.m, n.c = m.stamp(), m.stamp()
}

func (n *mnode) resize(size int64) {
	if size <= int64(len(n.data)) {
		n.data = n.data[:size:size]
		return
	}
	n.data = append(n.data[:len(n.data):len(n.data)], make([]byte, size-int64(len(n.data)))...)
}

func (m *model) fallocate(o *operation, n *mnode, writable bool) syscall.Errno {
	mode, size := FallocMode(o.flag), int64(len(n.data))
	keep, what := mode&FallocKeepSize != 0, mode&^FallocKeepSize
	shifts := what == FallocCollapseRange || what == FallocInsertRange
	switch {
	case o.off < 0 || o.n <= 0:
		return syscall.EINVAL
	case what == FallocPunchHole && !keep, shifts && keep:
		return syscall.EOPNOTSUPP
	case what&(what-1) != 0, what&^(FallocPunchHole|FallocZeroRange|FallocCollapseRange|FallocInsertRange) != 0:
		return syscall.EOPNOTSUPP
	case !writable:
		return syscall.EBADF
	case o.off > m.maxSize-o.n:
		return syscall.EFBIG
	}
	n.m, n.c = stampTime{any: true}, stampTime{any: true} // before the judgement in some kernels, behind it in others
	if !m.extents && what != FallocPunchHole {
		return syscall.EOPNOTSUPP
	}
	delete(n.xattrs, XattrCapability)
	end := o.off + o.n
	if shifts && (o.off%m.cluster != 0 || o.n%m.cluster != 0) {
		return syscall.EINVAL
	}
	switch what {
	case FallocCollapseRange:
		if end >= size {
			return syscall.EINVAL
		}
		n.data = append(n.data[:o.off:o.off], n.data[end:]...)
	case FallocInsertRange:
		if o.off >= size {
			return syscall.EINVAL
		}
		tail := append([]byte(nil), n.data[o.off:]...)
		n.data = append(append(n.data[:o.off:o.off], make([]byte, o.n)...), tail...)
	default:
		if what != 0 && o.off < size {
			clear(n.data[o.off:min(end, size)])
		}
		if end > size && !keep {
			n.resize(end)
		}
	}
	return 0
}

// content is what a write of n bytes with this seed writes.
func content(seed uint64, n int) []byte {
	p := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		seed = seed*6364136223846793005 + 1442695040888963407
		binary.LittleEndian.PutUint64(p[i:], seed^seed>>29|0x0101)
	}
	if seed%7 == 0 { // stretches of zeros, for DigHoles
		clear(p[n/4 : n/2])
	}
	return p[:n:n]
}
