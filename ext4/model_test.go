package ext4

import (
	"slices"
	"strings"
	"syscall"
	"time"

	"ext4img/ext4/internal/names"
	"ext4img/ext4/layout"
)

// A model is a file system in memory that gives the answers of Linux to its superuser: the tree that an image must hold
// after the same operations.
type model struct {
	root *mnode
	fds  [slots]mfile
	now  int // number of the operation under way
	fold bool
	// What the image can hold.
	blockSize int
	cluster   int64 // bytes
	maxSize   int64 // where extents map the file
	extents   bool
	seconds   bool // timestamps have neither nanoseconds nor years beyond 2038
}

// slots is how many files the generator keeps open.
const slots = 5

type mfile struct {
	n    *mnode
	flag int
}

// mnode is an inode.
type mnode struct {
	mode         uint16
	uid, gid     uint32
	links        int
	data         []byte // of a regular file
	target       string // of a symbolic link
	major, minor uint32
	xattrs       map[string][]byte
	kids         map[string]*mname // of a directory, by folded name
	up           *mnode            // of a directory
	a, m, c      stampTime
}

// mname is a name in a directory.
type mname struct {
	name string
	n    *mnode
}

// stampTime is what is known of a timestamp: that it was set to at, or by which operation, or nothing.
type stampTime struct {
	at  time.Time
	op  int
	any bool
}

func (n *mnode) typ() uint16     { return n.mode & layout.ModeTypeMask }
func (n *mnode) isDir() bool     { return n.typ() == layout.ModeDir }
func (n *mnode) isLink() bool    { return n.typ() == layout.ModeSymlink }
func (n *mnode) isRegular() bool { return n.typ() == layout.ModeRegular }
func (n *mnode) isSpecial() bool { return !n.isDir() && !n.isLink() && !n.isRegular() }

func newModel() *model {
	m := &model{root: &mnode{mode: layout.ModeDir | 0o755, links: 3, xattrs: map[string][]byte{}, kids: map[string]*mname{}}}
	m.root.up = m.root
	m.root.a.any, m.root.m.any, m.root.c.any = true, true, true
	return m
}

func (m *model) key(name string) string {
	if m.fold {
		return strings.ToLower(name)
	}
	return name
}

func (m *model) get(dir *mnode, name string) *mnode {
	if k := dir.kids[m.key(name)]; k != nil {
		return k.n
	}
	return nil
}

// step looks one name up in a directory.
func (m *model) step(dir *mnode, name string) (*mnode, syscall.Errno) {
	switch {
	case name == ".":
		return dir, 0
	case name == "..":
		return dir.up, 0
	case len(name) > names.MaxName:
		return nil, syscall.ENAMETOOLONG
	}
	if n := m.get(dir, name); n != nil {
		return n, 0
	}
	return nil, syscall.ENOENT
}

// mpath is a path resolved up to its last name; last is empty for the root.
type mpath struct {
	dir   *mnode
	last  string
	slash bool // something that must be a directory
}

func (p mpath) normal() bool { return p.last != "" && p.last != "." && p.last != ".." }

func (m *model) parent(at *mnode, path string, links *int) (p mpath, e syscall.Errno) {
	switch {
	case path == "":
		return p, syscall.ENOENT
	case len(path) >= names.MaxPath:
		return p, syscall.ENAMETOOLONG
	case path[0] == '/':
		at = m.root
	}
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	for i, name := range parts {
		if i == len(parts)-1 {
			return mpath{at, name, strings.HasSuffix(path, "/")}, 0
		}
		if at, e = m.finish(mpath{at, name, true}, true, links); e != 0 {
			return p, e
		}
	}
	return mpath{dir: at, slash: true}, 0
}

// finish looks the last name of a path up.
func (m *model) finish(p mpath, follow bool, links *int) (*mnode, syscall.Errno) {
	if p.last == "" {
		return p.dir, 0
	}
	n, e := m.step(p.dir, p.last)
	if e != 0 {
		return nil, e
	}
	if n.isLink() && (follow || p.slash) {
		if *links++; *links > names.MaxLinks {
			return nil, syscall.ELOOP
		}
		next, e := m.parent(p.dir, n.target, links)
		if e != 0 {
			return nil, e
		}
		if n, e = m.finish(next, true, links); e != 0 {
			return nil, e
		}
	}
	if p.slash && !n.isDir() {
		return nil, syscall.ENOTDIR
	}
	return n, 0
}

func (m *model) resolve(path string, follow bool) (*mnode, syscall.Errno) {
	var links int
	p, e := m.parent(m.root, path, &links)
	if e != 0 {
		return nil, e
	}
	return m.finish(p, follow, &links)
}

// vacant resolves a path for a name that is to be made. dir: a directory, whose path may end in a slash.
func (m *model) vacant(path string, dir bool) (p mpath, e syscall.Errno) {
	var links int
	if p, e = m.parent(m.root, path, &links); e != 0 {
		return p, e
	}
	if !p.normal() {
		return p, syscall.EEXIST
	}
	_, e = m.step(p.dir, p.last)
	switch {
	case e == 0:
		return p, syscall.EEXIST
	case e != syscall.ENOENT:
		return p, e
	case p.slash && !dir:
		return p, syscall.ENOENT
	}
	return p, 0
}

func (m *model) stamp() stampTime { return stampTime{op: m.now} }

// dirChanged sets a directory's times.
func (m *model) dirChanged(dir *mnode) { dir.m, dir.c = m.stamp(), m.stamp() }

func (m *model) add(dir *mnode, name string, n *mnode) {
	dir.kids[m.key(name)] = &mname{name, n}
	m.dirChanged(dir)
}

// make gives a new inode its name.
func (m *model) make(p mpath, mode uint16) *mnode {
	n := &mnode{mode: mode, links: 1, xattrs: map[string][]byte{}, a: m.stamp(), m: m.stamp(), c: m.stamp()}
	if n.isDir() {
		n.links, n.up, n.kids = 2, p.dir, map[string]*mname{}
		p.dir.links++
	}
	if p.dir.mode&layout.ModeSetGID != 0 {
		n.gid = p.dir.gid
		if n.isDir() {
			n.mode |= layout.ModeSetGID
		}
	}
	n.inherit(p.dir)
	m.add(p.dir, p.last, n)
	return n
}

// creation carries out what makes one new inode.
func (m *model) creation(o *operation) syscall.Errno {
	mode := map[opKind]uint16{opMkdir: layout.ModeDir, opSymlink: layout.ModeSymlink}[o.kind] | o.mode
	if o.kind == opSymlink {
		mode |= 0o777
		switch {
		case o.to == "":
			return syscall.ENOENT
		case len(o.to) >= names.MaxPath:
			return syscall.ENAMETOOLONG
		}
	}
	p, e := m.vacant(o.path, o.kind == opMkdir)
	if e != 0 {
		return e
	}
	if o.kind == opSymlink && len(o.to) >= m.blockSize {
		return syscall.ENAMETOOLONG
	}
	n := m.make(p, mode)
	n.target, n.major, n.minor = "", 0, 0
	switch {
	case o.kind == opSymlink:
		n.target = o.to
	case n.typ() == layout.ModeCharDev || n.typ() == layout.ModeBlockDev:
		n.major, n.minor = uint32(o.off), uint32(o.n)
	}
	return 0
}

func (m *model) link(o *operation) syscall.Errno {
	n, e := m.resolve(o.path, false)
	if e != 0 {
		return e
	}
	p, e := m.vacant(o.to, false)
	switch {
	case e != 0:
		return e
	case n.isDir():
		return syscall.EPERM
	}
	n.links++
	n.c = m.stamp()
	m.add(p.dir, p.last, n)
	return 0
}

// remove is unlink and rmdir.
func (m *model) remove(o *operation) syscall.Errno {
	var links int
	p, e := m.parent(m.root, o.path, &links)
	if e != 0 {
		return e
	}
	if !p.normal() {
		switch {
		case o.kind == opUnlink:
			return syscall.EISDIR
		case p.last == ".":
			return syscall.EINVAL
		case p.last == "..":
			return syscall.ENOTEMPTY
		}
		return syscall.EBUSY
	}
	n, e := m.step(p.dir, p.last)
	switch {
	case e != 0:
		return e
	case o.kind == opUnlink && n.isDir():
		return syscall.EISDIR
	case o.kind == opUnlink && p.slash, o.kind == opRmdir && !n.isDir():
		return syscall.ENOTDIR
	case n.isDir() && len(n.kids) > 0:
		return syscall.ENOTEMPTY
	}
	delete(p.dir.kids, m.key(p.last))
	m.dirChanged(p.dir)
	m.drop(p.dir, n)
	return 0
}

// drop takes away the link that a name in dir was.
func (m *model) drop(dir, n *mnode) {
	n.c = m.stamp()
	if n.isDir() {
		dir.links--
		n.links = 0
		return
	}
	n.links--
}

func (m *model) rename(o *operation) syscall.Errno {
	flags := RenameFlags(o.flag)
	if flags == RenameNoReplace|RenameExchange {
		return syscall.EINVAL
	}
	var links int
	from, e := m.parent(m.root, o.path, &links)
	if e != 0 {
		return e
	}
	links = 0
	to, e := m.parent(m.root, o.to, &links)
	switch {
	case e != 0:
		return e
	case !from.normal():
		return syscall.EBUSY
	case !to.normal() && flags == RenameNoReplace:
		return syscall.EEXIST
	case !to.normal():
		return syscall.EBUSY
	}
	old, e := m.step(from.dir, from.last)
	if e != 0 {
		return e
	}
	dst, e := m.step(to.dir, to.last)
	if e != 0 && e != syscall.ENOENT {
		return e
	}
	if e := m.judgeRename(flags, from, to, old, dst); e != 0 || old == dst {
		return e
	}
	m.move(flags, from, to, old, dst)
	return 0
}

// judgeRename refuses what rename(2) refuses, in its order. dst is nil if the new name is free.
func (m *model) judgeRename(flags RenameFlags, from, to mpath, old, dst *mnode) syscall.Errno {
	swap := flags == RenameExchange
	switch {
	case flags == RenameNoReplace && dst != nil:
		return syscall.EEXIST
	case swap && dst == nil:
		return syscall.ENOENT
	case swap && !dst.isDir() && to.slash:
		return syscall.ENOTDIR
	case !old.isDir() && (from.slash || !swap && to.slash):
		return syscall.ENOTDIR
	case old.isDir() && under(to.dir, old):
		return syscall.EINVAL
	case dst != nil && dst.isDir() && under(from.dir, dst) && swap:
		return syscall.EINVAL
	case dst != nil && dst.isDir() && under(from.dir, dst):
		return syscall.ENOTEMPTY
	case dst == nil || dst == old || swap:
		return 0
	case old.isDir() && !dst.isDir():
		return syscall.ENOTDIR
	case !old.isDir() && dst.isDir():
		return syscall.EISDIR
	case dst.isDir() && len(dst.kids) > 0:
		return syscall.ENOTEMPTY
	}
	return 0
}

// under tells whether a directory is at, or below, top.
func under(dir, top *mnode) bool {
	for ; dir != top; dir = dir.up {
		if dir == dir.up {
			return false
		}
	}
	return true
}

func (m *model) move(flags RenameFlags, from, to mpath, old, dst *mnode) {
	if flags == RenameExchange {
		from.dir.kids[m.key(from.last)].n, to.dir.kids[m.key(to.last)].n = dst, old
		m.reparent(dst, to.dir, from.dir)
		dst.c = m.stamp()
	} else {
		delete(from.dir.kids, m.key(from.last))
		name := to.last
		if dst != nil {
			name = to.dir.kids[m.key(to.last)].name
			m.drop(to.dir, dst)
		}
		m.add(to.dir, name, old)
	}
	m.reparent(old, from.dir, to.dir)
	old.c = m.stamp()
	m.dirChanged(from.dir)
	m.dirChanged(to.dir)
}

func (m *model) reparent(n, from, to *mnode) {
	if n.isDir() && from != to {
		n.up = to
		from.links--
		to.links++
	}
}

// walk calls fn for every path of the tree, parents first, in order.
func (m *model) walk(fn func(path string, n *mnode)) {
	var rec func(path string, n *mnode)
	rec = func(path string, n *mnode) {
		fn(path, n)
		list := make([]string, 0, len(n.kids))
		for _, k := range n.kids {
			list = append(list, k.name)
		}
		slices.Sort(list)
		for _, name := range list {
			rec(strings.TrimSuffix(path, "/")+"/"+name, m.get(n, name))
		}
	}
	rec("/", m.root)
}
