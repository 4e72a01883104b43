package group

import (
	"testing"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// BenchmarkAllocFree runs handles with a small allocation and a free that rests.
func BenchmarkAllocFree(b *testing.B) {
	w := mkfs(b, 2<<30, 0)
	var last layout.Pblk
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.must(func(h *journal.Handle) error {
			p, n, err := w.s.Alloc(h, Request{Goal: w.s.GoalFor(12), Max: 4, Root: true})
			if err == nil && i%2 == 1 {
				err = w.s.Free(h, last, 4)
			}
			if n == 4 {
				last = p
			}
			return err
		})
		if i%1000 == 999 {
			if err := w.J.CommitAll(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkAllocInode allocates inode numbers for files and directories.
func BenchmarkAllocInode(b *testing.B) {
	w := mkfs(b, 2<<30, 0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.must(func(h *journal.Handle) error {
			ino, err := w.s.AllocInode(h, layout.RootIno, i%8 == 0)
			if err == nil && i%100 != 0 {
				err = w.s.FreeInode(h, ino, i%8 == 0)
			}
			return err
		})
		if i%1000 == 999 {
			if err := w.J.CommitAll(); err != nil {
				b.Fatal(err)
			}
		}
	}
}
