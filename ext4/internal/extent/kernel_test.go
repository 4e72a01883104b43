package extent

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/judge"
)

// TestKernelReads has the kernel read a file of scattered written blocks, in a file system full of other bytes. It
// must read the data of the written blocks, and zeros everywhere else.
func TestKernelReads(t *testing.T) {
	const blocks = 20000
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 7))
	w := newWorld(t, mke2fs(t, "48M", "-b", "1024"), 0)
	w.setSize(t, blocks+100)
	w.allocateAll(t, 0, blocks, true)
	written := map[uint64]bool{}
	for _, l := range rnd.Perm(blocks)[:4000] {
		written[uint64(l)] = true
		w.Must(t, func(h *journal.Handle) error { return w.m.Convert(h, w.ino, layout.Lblk(l), 1, false) })
	}
	w.Must(t, func(h *journal.Handle) error {
		_, _, err := w.m.Remove(h, w.ino, 7000, 7777)
		return err
	})
	p := make([]byte, w.G.BlockSize)
	for _, e := range w.walked(t) {
		for i := range uint64(e.Len) {
			stamp(p, uint64(e.Lblk)+i)
			if e.Unwritten {
				binary.LittleEndian.PutUint64(p, 0xAAAAAAAA)
			}
			if _, err := w.Dev.WriteAt(p, int64((uint64(e.Pblk)+i)*uint64(len(p)))); err != nil {
				t.Fatal(err)
			}
		}
	}
	judge.Mount(t, w.judged(t), "ro", func(root string) {
		f, err := os.Open(filepath.Join(root, "f0"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		want := make([]byte, len(p))
		for l := range uint64(blocks + 100) {
			clear(want)
			if written[l] && (l < 7000 || l >= 7777) {
				stamp(want, l)
			}
			if _, err := f.ReadAt(p, int64(l)*int64(len(p))); err != nil || string(p) != string(want) {
				t.Fatalf("block %d: the kernel reads % x, want % x: %v", l, p[:16], want[:16], err)
			}
		}
	})
}

func stamp(p []byte, n uint64) {
	for i := 0; i < len(p); i += 8 {
		binary.LittleEndian.PutUint64(p[i:], n+1)
	}
}
