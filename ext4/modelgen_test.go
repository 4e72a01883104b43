package ext4

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"ext4img/ext4/internal/names"
	"ext4img/ext4/layout"
)

type opKind string

const (
	opOpen        opKind = "open"
	opClose       opKind = "close"
	opMkdir       opKind = "mkdir"
	opUnlink      opKind = "unlink"
	opRmdir       opKind = "rmdir"
	opRename      opKind = "rename"
	opLink        opKind = "link"
	opSymlink     opKind = "symlink"
	opMknod       opKind = "mknod"
	opStat        opKind = "stat"
	opReadlink    opKind = "readlink"
	opChmod       opKind = "chmod"
	opChown       opKind = "chown"
	opLchown      opKind = "lchown"
	opChtimes     opKind = "chtimes"
	opLchtimes    opKind = "lchtimes"
	opGetxattr    opKind = "getxattr"
	opSetxattr    opKind = "setxattr"
	opRemovexattr opKind = "removexattr"
	opRead        opKind = "read"
	opWrite       opKind = "write"
	opQRead       opKind = "queued read"
	opQWrite      opKind = "queued writes"
	opTruncate    opKind = "truncate"
	opFallocate   opKind = "fallocate"
	opDig         opKind = "dig holes"
	opFsync       opKind = "fsync"
	opSync        opKind = "sync"
)

// An operation is one step, for any driver.
type operation struct {
	kind         opKind
	path, to     string // to: the other name, or the text of a symbolic link
	nofollow     bool   // of an attribute
	fd           int
	flag         int // of open, rename, setxattr or fallocate
	mode         uint16
	uid, gid     int
	off, n       int64 // bytes; of mknod: device numbers
	attr         string
	fill         uint64 // seed of what is written
	atime, mtime time.Time
	parts        []part // of queued writes
}

type part struct {
	off, n int64
	fill   uint64
}

func (o *operation) follows() bool {
	switch o.kind {
	case opReadlink, opLchown, opLchtimes:
		return false
	case opStat, opGetxattr, opSetxattr, opRemovexattr:
		return !o.nofollow
	}
	return true
}

func (o *operation) String() string {
	switch o.kind {
	case opClose, opFsync, opSync:
		return fmt.Sprintf("%s fd %d", o.kind, o.fd)
	case opRead, opQRead, opWrite, opTruncate, opFallocate, opDig:
		return fmt.Sprintf("%s fd %d mode %#x at %d+%d", o.kind, o.fd, o.flag, o.off, o.n)
	case opQWrite:
		return fmt.Sprintf("%s fd %d %v", o.kind, o.fd, o.parts)
	case opGetxattr, opSetxattr, opRemovexattr:
		return fmt.Sprintf("%s %.80q %.80q %d bytes, flags %d", o.kind, o.path, o.attr, o.n, o.flag)
	case opChtimes, opLchtimes:
		return fmt.Sprintf("%s %.80q %v %v", o.kind, o.path, o.atime, o.mtime)
	}
	return fmt.Sprintf("%s %.300q %.300q fd %d flags %#x mode %o owner %d:%d", o.kind, o.path, o.to, o.fd, o.flag, o.mode, o.uid, o.gid)
}

// gen makes up operations that fit the model's state: most succeed, some have to fail.
type gen struct {
	*rand.Rand
	m        *model
	inline   bool
	careful  bool  // small writes without holes and small attributes: for a kernel that loses data of inline files
	fileMost int64 // bytes in a file
	dataMost int64 // bytes in all files
	most     int   // inodes
	paths    []string
	dirs     []string
	files    []string
	data     int64
}

// chance is true in k of 100 cases.
func (g *gen) chance(k int) bool { return g.IntN(100) < k }

// survey lists what there is.
func (g *gen) survey() {
	g.paths, g.dirs, g.files, g.data = g.paths[:0], g.dirs[:0], g.files[:0], 0
	g.m.walk(func(path string, n *mnode) {
		g.paths = append(g.paths, path)
		switch {
		case n.isDir():
			g.dirs = append(g.dirs, path)
		case n.isRegular():
			g.files = append(g.files, path)
			g.data += int64(len(n.data))
		}
	})
}

// wide is an owner as an int: where that has 32 bits, the largest there is.
func wide(id uint32) int { return int(min(int64(id), math.MaxInt)) }

func pick[T any](g *gen, list ...T) T { return list[g.IntN(len(list))] }

// name is a name that is often there already.
func (g *gen) name() string {
	switch k := g.IntN(100); {
	case k < 3:
		return strings.Repeat(pick(g, "ü", "L", "x."), 300)[:255-g.IntN(3)]
	case k < 5:
		return pick(g, "\x01\xff", " ", "a\nb", "...", "-n", "é", strings.Repeat("z", 256))
	case k < 30:
		return fmt.Sprintf("%s-%03d", pick(g, "a rather long name to fill directories", "Medium name"), g.IntN(400))
	}
	name := fmt.Sprintf("n%d", g.IntN(60))
	if g.m.fold && g.chance(50) {
		name = strings.ToUpper(name)
	}
	return name
}

func (g *gen) some(list []string) string {
	if len(list) == 0 {
		return "/"
	}
	return list[g.IntN(len(list))]
}

// fresh is a path of a name in some directory.
func (g *gen) fresh() string { return strings.TrimSuffix(g.some(g.dirs), "/") + "/" + g.name() }

// any is a path: mostly of what is there.
func (g *gen) any() string {
	if g.chance(10) {
		return g.odd(g.fresh())
	}
	return g.odd(g.some(g.paths))
}

// odd writes a path in another way, or breaks it, now and then.
func (g *gen) odd(path string) string {
	if !g.chance(8) {
		return path
	}
	switch g.IntN(8) {
	case 0:
		return path + "/"
	case 1:
		return path + "/."
	case 2:
		return path + "/.."
	case 3:
		return strings.ReplaceAll(path, "/", "/.//")
	case 4:
		return path + "/" + g.name()
	case 5:
		return g.some(g.dirs) + "/../" + path
	case 6:
		return pick(g, "", "/", ".", "..", "//", "/lost/found", strings.Repeat("/.", 2100))
	}
	return path[1:]
}

// fd is the number of an open file, or -1.
func (g *gen) fd(dirs bool) int {
	for range 8 {
		i := g.IntN(slots)
		if n := g.m.fds[i].n; n != nil && (dirs || n.isRegular()) {
			return i
		}
	}
	return -1
}

// next makes up an operation.
func (g *gen) next() *operation {
	g.survey()
	if len(g.paths) > g.most || g.data > g.dataMost {
		if g.chance(60) {
			return g.shrinking()
		}
	}
	switch k := g.IntN(100); {
	case k < 34:
		return g.naming()
	case k < 48:
		return g.attributing()
	}
	if fd := g.fd(g.chance(4)); fd >= 0 && !g.chance(14) {
		return g.onFile(fd)
	}
	return g.opening()
}

func (g *gen) shrinking() *operation {
	path := g.some(g.paths)
	if n, _ := g.m.resolve(path, false); n != nil && n.isDir() {
		return &operation{kind: opRmdir, path: path}
	}
	return &operation{kind: opUnlink, path: path}
}

func (g *gen) opening() *operation {
	fd := g.IntN(slots)
	if g.m.fds[fd].n != nil {
		return &operation{kind: opClose, fd: fd}
	}
	o := &operation{kind: opOpen, fd: fd, path: g.odd(g.some(g.files)), flag: os.O_RDWR}
	if g.chance(50) {
		o.path = g.odd(g.fresh())
		o.flag |= os.O_CREATE
		o.mode = pick[uint16](g, 0o644, 0o600, 0o755, 0o4711, 0o2755, 0)
	}
	switch {
	case g.chance(5):
		o.flag |= os.O_CREATE | os.O_EXCL
	case g.chance(10):
		o.flag |= os.O_TRUNC
	case g.chance(7):
		o.flag = o.flag&^os.O_RDWR | os.O_WRONLY
	case g.chance(7):
		o.flag &^= os.O_RDWR
	case g.chance(4):
		o.path = g.any()
	}
	return o
}

func (g *gen) naming() *operation {
	switch k := g.IntN(100); {
	case k < 18:
		return &operation{kind: opMkdir, path: g.odd(g.fresh()), mode: pick[uint16](g, 0o755, 0o700, 0o1777, 0)}
	case k < 30:
		return g.symlink()
	case k < 38:
		mode := pick[uint16](g, layout.ModeFIFO, layout.ModeSocket, layout.ModeCharDev, layout.ModeBlockDev)
		major, minor := pick[int64](g, 1, 8, 259, 4095), pick[int64](g, 0, 3, 255, 256, 1<<20-1)
		return &operation{kind: opMknod, path: g.odd(g.fresh()), mode: mode | 0o640, off: major, n: minor}
	case k < 50:
		o := &operation{kind: opLink, path: g.odd(g.some(g.files)), to: g.odd(g.fresh())}
		if g.chance(15) {
			o.path, o.to = g.any(), g.any()
		}
		return o
	case k < 65:
		return &operation{kind: opUnlink, path: g.any()}
	case k < 73:
		return &operation{kind: opRmdir, path: g.odd(g.some(g.dirs))}
	}
	o := &operation{kind: opRename, path: g.any(), to: g.odd(g.fresh())}
	switch {
	case g.chance(40):
		o.to = g.any()
	case g.chance(5):
		o.to = o.path
	case g.chance(5):
		o.to = o.path + "/" + g.name()
	}
	if g.chance(35) {
		o.flag = pick(g, int(RenameNoReplace), int(RenameExchange), int(RenameExchange), int(RenameExchange|RenameNoReplace))
	}
	return o
}

func (g *gen) symlink() *operation {
	o := &operation{kind: opSymlink, path: g.odd(g.fresh()), to: g.some(g.paths)}
	switch g.IntN(8) {
	case 0:
		o.to = strings.Repeat("x", 57+g.IntN(6))
	case 1:
		o.to = strings.Repeat("../", 30) + strings.TrimPrefix(o.to, "/")
	case 2:
		o.to = g.name()
	case 3:
		size := pick(g, 900, 1022, 1023, 1024, 2047, 2048, 3000, 4094, 4095, 4096, 150, 160)
		o.to = strings.Repeat("/././.", 700)[:size]
	case 4:
		o.to = pick(g, "", ".", "..", "/", "../..")
	}
	return o
}

func (g *gen) attributing() *operation {
	o := &operation{path: g.any(), nofollow: g.chance(20)}
	switch k := g.IntN(100); {
	case k < 12:
		o.kind = opStat
	case k < 18:
		o.kind = opReadlink
	case k < 28:
		o.kind = opChmod
		o.mode = pick[uint16](g, 0o777, 0, 0o4755, 0o2755, 0o2745, 0o1777, 0o6711, uint16(g.IntN(0o10000)))
	case k < 38:
		o.kind = pick(g, opChown, opLchown)
		o.uid, o.gid = pick(g, -1, 0, 1000, 65534, 70000, wide(1<<31)), pick(g, -1, 0, 100, 65536, wide(1<<32-2))
	case k < 50:
		o.kind = pick(g, opChtimes, opLchtimes)
		if o.atime, o.mtime = g.time(), g.time(); o.atime.IsZero() {
			o.mtime = time.Unix(1, 0)
		}
	default:
		g.xattr(o)
	}
	return o
}

func (g *gen) time() time.Time {
	if g.chance(20) {
		return time.Time{}
	}
	sec := pick(g, 0, 1, -1, 1<<31-1, 1<<31, 1<<32-1, 1<<32, 1<<33+7, 1<<33+1<<32+5, 1<<34, -1<<31, -1<<31-1, -1<<35, 1_700_000_000+g.Int64N(1e6))
	return time.Unix(sec, pick(g, 0, 1, 999_999_999, g.Int64N(1e9)))
}

func (g *gen) xattr(o *operation) {
	o.kind = pick(g, opSetxattr, opSetxattr, opSetxattr, opGetxattr, opRemovexattr)
	o.attr = pick(g, "user.", "user.", "user.", "trusted.", "security.x") + pick(g, "a", "b", "note", "a longer name", "z9", "m")
	if g.chance(6) {
		o.attr = pick(g, "user.", "none.x", "user."+strings.Repeat("n", 250), "user."+strings.Repeat("n", 251), "trusted.", "nothing")
	}
	if !g.careful && g.chance(15) {
		o.attr = pick(g, XattrACLAccess, XattrACLDefault)
		o.nofollow = o.nofollow || g.chance(10)
	}
	o.fill = g.Uint64() % 50 // the same values again: blocks are shared
	switch k := g.IntN(100); {
	case k < 45:
		o.n = g.Int64N(40)
	case k < 70:
		o.n = g.Int64N(300)
	case k < 90:
		o.n = g.Int64N(int64(min(g.m.blockSize, 8192)))
	default:
		o.n = pick(g, 3900, 4000, 4096, 65535, 65536, 65537, g.Int64N(65536))
	}
	if g.careful {
		o.n %= 16 // how much room the data leaves in the inode is not the same
	}
	if !g.careful && g.chance(15) {
		o.attr, o.n = XattrCapability, o.n+1
	}
	if names.IsACL(o.attr) || o.attr == XattrCapability {
		o.n = int64(len(o.value()))
	}
	if g.chance(25) {
		o.flag = pick(g, XattrCreate, XattrReplace)
	}
}

// length is the length of a range.
func (g *gen) length() int64 {
	unit := pick(g, 512, 1024, int64(g.m.blockSize), g.m.cluster)
	switch g.IntN(4) {
	case 0:
		return g.Int64N(300)
	case 1:
		return unit * (1 + g.Int64N(8))
	case 2:
		return g.Int64N(5 * unit)
	}
	return g.Int64N(g.fileMost / 6)
}

// offset is where a range begins, mostly in or near the file.
func (g *gen) offset(size int64) int64 {
	unit := pick(g, 1, int64(g.m.blockSize), g.m.cluster)
	switch {
	case g.chance(15):
		return size
	case g.chance(8):
		return 0
	case g.chance(70):
		return g.Int64N(size+1) / unit * unit
	}
	return min(g.Int64N(size+size/4+20*unit), g.fileMost) / unit * unit
}

func (g *gen) onFile(fd int) *operation {
	n := g.m.fds[fd].n
	size := int64(len(n.data))
	o := &operation{fd: fd, off: g.offset(size), n: g.length(), fill: g.Uint64()}
	if g.inline && size < 500 && g.chance(60) {
		o.off, o.n = g.Int64N(size+1), g.Int64N(120)
	}
	o.n = max(min(o.n, g.fileMost-o.off), 0)
	if g.careful {
		o.kind, o.off, o.n = pick(g, opWrite, opWrite, opRead, opFsync), g.Int64N(size+1), g.Int64N(200)
		return o
	}
	switch k := g.IntN(100); {
	case k < 2:
		o.kind = pick(g, opWrite, opRead, opTruncate, opFallocate)
		o.off = pick[int64](g, -1, 1<<60, 1<<62)
		if o.kind == opRead {
			o.off = -1
		}
	case k < 8:
		o.kind = opRead
	case k < 12:
		o.kind = opQRead
	case k < 30:
		o.kind = opWrite
	case k < 50 && n.isRegular():
		if g.queued(o, size); len(o.parts) == 0 {
			o.kind = opFsync
		}
	case k < 62:
		o.kind = opTruncate
	case k < 92:
		g.fallocate(o, size)
	case k < 94:
		o.kind = opDig
	case k < 97:
		o.kind = opFsync
	default:
		o.kind = opSync
	}
	return o
}

// queued makes up writes that do not overlap.
func (g *gen) queued(o *operation, size int64) {
	o.kind = opQWrite
	at := g.offset(size)
	for range 1 + g.IntN(6) {
		n := 1 + g.length()/2
		if g.chance(70) {
			bs := int64(g.m.blockSize)
			at, n = (at+bs-1)/bs*bs, (n+bs-1)/bs*bs
		}
		if at+n > g.fileMost {
			break
		}
		o.parts = append(o.parts, part{at, n, g.Uint64()})
		at += n + g.length()/3*int64(g.IntN(2))
	}
	g.Shuffle(len(o.parts), func(i, j int) { o.parts[i], o.parts[j] = o.parts[j], o.parts[i] })
}

func (g *gen) fallocate(o *operation, size int64) {
	o.kind = opFallocate
	mode := pick(g, 0, FallocKeepSize, FallocPunchHole|FallocKeepSize, FallocPunchHole|FallocKeepSize, FallocZeroRange,
		FallocZeroRange|FallocKeepSize, FallocCollapseRange, FallocInsertRange)
	if g.chance(4) {
		mode = pick(g, FallocPunchHole, FallocCollapseRange|FallocKeepSize, FallocInsertRange|FallocKeepSize, FallocZeroRange|FallocPunchHole, 0x04)
	}
	o.flag = int(mode)
	if mode == FallocCollapseRange || mode == FallocInsertRange {
		if !g.chance(15) {
			o.off = o.off / g.m.cluster * g.m.cluster
			o.n = max(o.n/g.m.cluster, 1) * g.m.cluster
		}
		if mode == FallocInsertRange && size+o.n > 2*g.fileMost {
			o.flag = int(FallocCollapseRange)
		}
	}
}
