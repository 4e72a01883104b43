package ext4

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"ext4img/ext4/layout"
	"ext4img/testimages/effort"
)

// aclOperation makes up an operation on a few names, most of which exist.
func aclOperation(r *rand.Rand) *operation {
	dirs := []string{"", "/d", "/d/e", "/s"}
	path := fmt.Sprintf("%s/%s", dirs[r.IntN(len(dirs))], []string{"d", "e", "s", "f", "g", "link"}[r.IntN(6)])
	o := &operation{path: path, attr: []string{XattrACLAccess, XattrACLDefault}[r.IntN(2)], fill: r.Uint64(), nofollow: r.IntN(5) == 0, mode: uint16(r.IntN(0o10000))}
	switch r.IntN(16) {
	case 0, 1:
		o.kind = opMkdir
		o.mode &= 0o777
	case 2:
		o.kind = opMknod
		o.mode = layout.ModeFIFO | o.mode&0o777
	case 3:
		o.kind, o.to = opSymlink, "f"
	case 4, 5:
		o.kind, o.flag = opOpen, os.O_CREATE|os.O_RDWR
		o.mode &= 0o777
	case 6:
		o.kind = opUnlink
	case 7:
		o.kind = opRmdir
	case 8:
		o.kind = opChmod
	case 9:
		o.kind, o.uid, o.gid = opChown, r.IntN(3), r.IntN(3)
	case 10:
		o.kind = opGetxattr
	case 11:
		o.kind = opRemovexattr
	case 12:
		o.kind, o.to = opRename, "/d/moved"
	default:
		o.kind = opSetxattr
	}
	return o
}

// TestACLsLikeKernel: lists that are set, inherited, changed by chmod and removed are the kernel's, and so is every answer.
func TestACLsLikeKernel(t *testing.T) {
	for name, opts := range map[string][]string{"256": {"-t", "ext4"}, "128": {"-t", "ext4", "-I", "128"}, "ext3": {"-t", "ext3", "-b", "1024"}} {
		t.Run(name, func(t *testing.T) {
			ops := longForm(3000, 200_000)
			r := rand.New(rand.NewPCG(effort.Seed(t, ops), 5))
			img, other := newImage(t, "16M", opts...), newImage(t, "16M", opts...)
			k := newKernel(t, other, "rw")
			d := newOurs(t, img)
			ask := func(o *operation, now int) (ours outcome) {
				ours, kernel := d.apply(o, now), k.apply(o, now)
				if ours != kernel {
					t.Fatalf("operation %d: %v, %x: ours: %v, the kernel: %v", now, o, randomACL(o.fill), ours, kernel)
				}
				return ours
			}
			if out := k.apply(&operation{kind: opGetxattr, path: "/", attr: XattrACLAccess}, 0); out.err == syscall.EOPNOTSUPP {
				t.Skip("judge missing: a kernel with access control lists")
			}
			for now := range ops {
				o := aclOperation(r)
				if n, err := d.fs.Lstat(o.path); o.kind == opOpen && err == nil && !n.Mode().IsRegular() {
					continue // a FIFO blocks
				}
				if out := ask(o, now); o.kind == opOpen && out.err == 0 {
					ask(&operation{kind: opClose}, now)
				}
				if now%100 == 99 {
					sameTrees(t, d, k)
				}
			}
			d.close()
			k.close()
			judged(t, img)
		})
	}
}

// sameTrees compares all but times.
func sameTrees(t *testing.T, a, b driver) {
	t.Helper()
	x, err := a.tree()
	must(t, err)
	y, err := b.tree()
	must(t, err)
	for path, got := range x {
		want := y[path]
		for _, e := range []*entryState{&got, &want} {
			e.a, e.m, e.c = time.Time{}, time.Time{}, time.Time{}
		}
		if got != want {
			t.Errorf("%s:\nours       %+v\nthe kernel %+v", path, got, want)
		}
	}
	if len(x) != len(y) || t.Failed() {
		t.Fatalf("%d and %d names", len(x), len(y))
	}
}
