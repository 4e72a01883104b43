package ext4

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ext4img/aio"
	"ext4img/ext4/check"
	"ext4img/ext4/layout"
	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

// moreShapes are further file systems for the model: as many of the features as mke2fs makes.
var moreShapes = map[string][]string{
	"64k":           {"-t", "ext4", "-b", "65536", "-J", "size=64"},
	"inline256":     {"-t", "ext4", "-O", "inline_data", "-I", "256", "-b", "1024"},
	"inline1024":    {"-t", "ext4", "-O", "inline_data", "-I", "1024"},
	"512":           {"-t", "ext4", "-I", "512", "-b", "2048"},
	"sparse_super2": {"-t", "ext4", "-O", "sparse_super2"},
	"csum_seed":     {"-t", "ext4", "-O", "metadata_csum_seed"},
	"casefold":      {"-t", "ext4", "-O", "casefold", "-E", "encoding=utf8"},
	"bigalloc1k":    {"-t", "ext4", "-O", "bigalloc", "-b", "1024", "-C", "8192"},
	"ea_inode1k":    {"-t", "ext4", "-O", "ea_inode,quota", "-b", "1024"},
	"ext3_1k":       {"-t", "ext3", "-b", "1024", "-I", "128"},
	"everything":    {"-t", "ext4", "-O", "bigalloc,inline_data,ea_inode,large_dir,quota,project,orphan_file,metadata_csum_seed,sparse_super2", "-C", "65536", "-I", "512"},
}

// modelShapes are the names of all of them.
func modelShapes() (names []string) {
	for _, set := range []map[string][]string{shapes, moreShapes} {
		for name := range set {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func shapeOptions(name string) []string {
	if o := shapes[name]; o != nil {
		return o
	}
	return moreShapes[name]
}

// longForm is the number of operations: short ones in ordinary tests, EXT4IMG_OPS or many with EXT4IMG_LONG.
func longForm(short, long int) int {
	if testing.Short() {
		short /= 2
	}
	return effort.Ops(short, long)
}

// modelImage makes an image of a shape and the model and generator for it.
func modelImage(t *testing.T, shape string, seed uint64) (string, *gen) {
	size := "64M"
	if shape == "64k" {
		size = "1G"
	}
	img := newImage(t, size, append([]string{"-m", "0"}, shapeOptions(shape)...)...)
	m := newModel()
	if shape == "casefold" {
		foldRoot(t, img)
		m.fold = true
	}
	fs, dev := openImage(t, img, Options{ReadOnly: true})
	g := fs.Geometry()
	m.blockSize, m.cluster = g.BlockSize, int64(g.BlockSize)*int64(g.ClusterRatio)
	m.extents, m.seconds = g.Incompat&layout.IncompatExtents != 0, g.InodeSize == 128
	m.maxSize = fs.maxSize()
	closeImage(t, fs, dev)
	scale := max(int64(g.BlockSize)/4096, 1)
	return img, &gen{Rand: rand.New(rand.NewPCG(seed, 11)), m: m, inline: g.Incompat&layout.IncompatInlineData != 0,
		fileMost: 300_000 * scale, dataMost: 6_000_000 * scale, most: 400}
}

// foldRoot makes the root directory casefolded, where it holds nothing but lost+found.
func foldRoot(t *testing.T, img string) {
	cmd := judge.Command(t, "debugfs", "-w", "-R", "set_inode_field <2> flags 0x40080000", img)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("judge missing: debugfs (%v: %s)", err, out)
	}
	fsckClean(t, img)
}

// judged has the closed image judged by our check and by e2fsck.
func judged(t *testing.T, img string) {
	t.Helper()
	fsckClean(t, img)
	dev, err := aio.Open(img, aio.Options{})
	must(t, err)
	defer dev.Close()
	rep, err := check.Run(dev, check.Options{Context: context.Background()})
	must(t, err)
	if !rep.Clean() {
		t.Fatalf("our check: %v %+v", rep.Fatal, rep.Problems[:min(len(rep.Problems), 10)])
	}
}

// compareTree compares a driver's tree with the model's.
func compareTree(t *testing.T, who string, d driver, m *model) {
	t.Helper()
	got, err := d.tree()
	if err != nil {
		t.Fatalf("%s: walk: %v", who, err)
	}
	bad := 0
	differ := func(format string, args ...any) {
		if bad++; bad <= 10 {
			t.Errorf(who+": "+format, args...)
		}
	}
	first := map[*mnode]string{}
	m.walk(func(path string, n *mnode) {
		g, ok := got[path]
		delete(got, path)
		if !ok {
			differ("%.100q is missing", path)
			return
		}
		if first[n] == "" {
			first[n] = path
		}
		want := entryState{mode: n.mode, links: n.links, uid: n.uid, gid: n.gid, size: n.size(), target: n.target, major: n.major, minor: n.minor,
			xattrs: xattrText(n.xattrs), first: first[n], a: g.a, m: g.m, c: g.c}
		if n.isRegular() {
			want.sum = sha256.Sum256(n.data)
		}
		if g != want {
			differ("%.100q:\ngot  %+v\nwant %+v", path, g, want)
		}
		for _, x := range []struct {
			what string
			want stampTime
			got  any
			ok   bool
		}{{"atime", n.a, g.a, d.times(n.a, g.a)}, {"mtime", n.m, g.m, d.times(n.m, g.m)}, {"ctime", n.c, g.c, d.times(n.c, g.c)}} {
			if !x.ok {
				differ("%.100q: %s %v, want that of operation %d, or %v", path, x.what, x.got, x.want.op, x.want.at)
			}
		}
	})
	for path := range got {
		differ("%.100q should not be there", path)
	}
	if bad > 0 {
		t.Fatalf("%s: %d differences at operation %d", who, bad, m.now)
	}
}

// closeAll closes the model's files.
func (m *model) closeAll() { m.fds = [slots]mfile{} }

// full tells whether the lack of space that a driver reports for an attribute can be true: one block holds them all.
func full(m *model, o *operation) bool {
	n, e := m.resolve(o.path, o.follows())
	return e == 0 && o.kind == opSetxattr && n.xattrRoom()+int(o.n)+len(o.attr) > m.blockSize*2/3
}

// dangerous operations would block or open devices in the kernel.
func dangerous(m *model, o *operation) bool {
	if o.kind != opOpen {
		return false
	}
	n, e := m.resolve(o.path, true)
	return e == 0 && n.isSpecial()
}

// step has the drivers carry out one operation and compares their answers with each other and the model's.
func step(t *testing.T, m *model, o *operation, names []string, drivers ...driver) {
	t.Helper()
	m.now++
	var first outcome
	for i, d := range drivers {
		out := d.apply(o, m.now)
		if i > 0 && out != first {
			t.Fatalf("operation %d: %v: %s: %v, %s: %v", m.now, o, names[0], first, names[i], out)
		}
		first = out
	}
	if first.err == syscall.ENOSPC && full(m, o) {
		return
	}
	if want := m.apply(o); want != first {
		t.Fatalf("operation %d: %v: %s: %v, want %v", m.now, o, names[0], first, want)
	}
}

// TestModel runs random operations on every kind of file system, against the model. After each hundred, and at the end,
// the image is judged by our check and by e2fsck and compared with the model, here and through the kernel.
func TestModel(t *testing.T) {
	ops := longForm(200, 200_000)
	for _, shape := range modelShapes() {
		t.Run(shape, func(t *testing.T) {
			seed := effort.Seed(t, ops)
			img, g := modelImage(t, shape, seed)
			d := newOurs(t, img)
			var last []string
			defer func() {
				if t.Failed() {
					t.Logf("the last operations:\n%s", strings.Join(last[max(len(last)-12, 0):], "\n"))
				}
			}()
			mounts := true
			judge := func() {
				g.m.closeAll()
				d.close()
				judged(t, img)
				if mounts {
					mounts = false
					t.Run("kernel", func(t *testing.T) {
						kernelWalk(t, img, g.m)
						mounts = true
					})
				}
			}
			for i := range ops {
				o := g.next()
				if dangerous(g.m, o) {
					continue
				}
				if last = append(last, fmt.Sprintf("%d %v", g.m.now+1, o)); len(last) > 100 {
					last = last[50:]
				}
				step(t, g.m, o, []string{"ours"}, d)
				if i%100 == 99 {
					judge()
					d.open()
					compareTree(t, "ours", d, g.m)
				}
			}
			judge()
		})
	}
}
