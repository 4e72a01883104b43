package journal

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"ext4img/aio"
	"ext4img/aio/block"
	"ext4img/journal/buf"
)

// benchJournal is a journal on a real file, in $EXT4IMG_BENCH_DIR or a temporary folder.
func benchJournal(b *testing.B) (*Journal, aio.Device) {
	dir := os.Getenv("EXT4IMG_BENCH_DIR")
	if dir == "" {
		dir = b.TempDir()
	}
	path := filepath.Join(dir, "journal-bench.img")
	if err := os.WriteFile(path, make([]byte, 64<<20), 0o600); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.Remove(path) })
	dev, err := aio.Open(path, aio.Options{Write: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { dev.Close() })
	area := &Area{Blocks: []Run{{8192, 4096}}, BlockSize: 4096}
	format(b, dev, area, FeatureCsumV3|Feature64Bit, 0)
	j, err := Open(Config{Device: dev, BlockSize: 4096, Blocks: 16384, Log: area})
	if err != nil {
		b.Fatal(err)
	}
	return j, dev
}

// BenchmarkCommit is a 4 KiB write and its fsync: the data, a handle that changes an inode, a commit.
func BenchmarkCommit(b *testing.B) {
	j, dev := benchJournal(b)
	data := block.Aligned(4096, 4096)
	for i := 0; b.Loop(); i++ {
		if _, err := dev.WriteAt(data, int64(1000+i%1000)*4096); err != nil {
			b.Fatal(err)
		}
		benchHandle(b, j, 100, byte(i))
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkGroupCommit does the same from many goroutines, which share commits.
func BenchmarkGroupCommit(b *testing.B) {
	j, _ := benchJournal(b)
	var n atomic.Int64
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			benchHandle(b, j, 100+uint64(i%64), byte(i))
		}
	})
	b.ReportMetric(float64(j.Stats().Handles)/float64(j.Stats().Commits), "handles/commit")
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkHandle runs handles without commits.
func BenchmarkHandle(b *testing.B) {
	j, _ := benchJournal(b)
	for i := 0; b.Loop(); i++ {
		h, err := j.Start(1)
		if err != nil {
			b.Fatal(err)
		}
		p, err := h.Get(buf.Ref{Block: 100, Off: 256 * (i % 16), Len: 256, Type: raw{}})
		if err != nil {
			b.Fatal(err)
		}
		p[0]++
		if _, err := h.Stop(); err != nil {
			b.Fatal(err)
		}
	}
}

func benchHandle(b *testing.B, j *Journal, block uint64, v byte) {
	h, err := j.Start(1)
	if err != nil {
		b.Error(err)
		return
	}
	p, err := h.Get(buf.Ref{Block: block, Off: 256, Len: 256, Type: raw{}})
	if err != nil {
		b.Error(err)
		return
	}
	p[0], p[1] = v, p[1]+1
	tid, err := h.Stop()
	if err == nil {
		err = j.Commit(tid)
	}
	if err != nil {
		b.Error(err)
	}
}
