package ext4

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
	"ext4img/ext4/mkfs"
	"ext4img/testimages/effort"
)

// fsxShapes are the ways in which a file can be mapped.
var fsxShapes = map[string]mkfs.Options{
	"4k":       {BlockSize: 4096},
	"1k":       {BlockSize: 1024},
	"bigalloc": {BlockSize: 1024, Features: "bigalloc", ClusterSize: 4096},
	"inline":   {BlockSize: 4096, Features: "inline_data", InodeSize: 512},
	"indirect": {Type: "ext3", BlockSize: 1024},
}

// TestFsxModel runs the operations of fsx, none of them aligned, on one file against a model of its bytes: by plain reads
// and writes, and through the queue. What is free on the device is not zero.
func TestFsxModel(t *testing.T) {
	ops := longForm(1500, 1_000_000)
	for shape, o := range fsxShapes {
		for _, how := range []string{"plain", "queued"} {
			t.Run(shape+"/"+how, func(t *testing.T) {
				seed := effort.Seed(t, ops)
				dev := simdev.NewFilled(32<<20, 0xAA)
				must(t, mkfs.Make(dev, o))
				fsxModel(t, dev, rand.New(rand.NewPCG(seed, 5)), ops, how == "queued")
			})
		}
	}
}

func fsxModel(t *testing.T, dev *simdev.Device, rnd *rand.Rand, ops int, queued bool) {
	d := &ours{t: t, dev: dev}
	var err error
	d.fs, err = Open(dev, Options{Clock: func() time.Time { return d.clock }})
	must(t, err)
	d.q, err = d.fs.NewQueue(8)
	must(t, err)
	m := newModel()
	geo := d.fs.Geometry()
	m.blockSize, m.cluster, m.maxSize = geo.BlockSize, int64(geo.BlockSize)*int64(geo.ClusterRatio), d.fs.maxSize()
	m.extents = geo.Incompat&layout.IncompatExtents != 0
	g := &gen{Rand: rnd, m: m, inline: geo.Incompat&layout.IncompatInlineData != 0, fileMost: 400_000}
	step(t, m, &operation{kind: opOpen, path: "/f", flag: os.O_RDWR | os.O_CREATE}, []string{"ours"}, d)
	for i := range ops {
		o := g.onFile(0)
		switch {
		case queued && o.kind == opWrite && o.off >= 0 && o.off < m.maxSize && o.n > 0:
			o.kind, o.parts = opQWrite, []part{{o.off, o.n, o.fill}}
		case queued && o.kind == opRead && o.off >= 0:
			o.kind = opQRead
		case !queued && o.kind == opQWrite, !queued && o.kind == opQRead:
			o.kind, o.n = opRead, max(o.n, 1)
		}
		step(t, m, o, []string{"ours"}, d)
		if i%40 == 39 {
			whole := &operation{kind: opRead, n: int64(len(m.fds[0].n.data)) + 10}
			step(t, m, whole, []string{"ours"}, d)
		}
	}
	must(t, d.q.Close())
	must(t, d.fds[0].Close())
	must(t, d.fs.Close())
	img := filepath.Join(t.TempDir(), "img")
	must(t, dev.Save(img))
	judged(t, img)
	if got := dumpFile(t, img, "/f"); string(got) != string(m.fds[0].n.data) {
		t.Errorf("debugfs reads other bytes")
	}
	kernelWalk(t, img, m)
}
