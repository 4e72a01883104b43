package aio

import (
	"errors"
	"math/rand"
	"testing"

	"ext4img/aio/block"
)

// TestArena cuts and returns buffers at random: they are aligned, do not overlap, and all room comes back.
func TestArena(t *testing.T) {
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewSource(seed))
	a, err := NewArena(1<<20, 4096)
	if err != nil {
		t.Fatal(err)
	}
	var held [][]byte
	for range 2000 {
		if r.Intn(2) == 0 && len(held) > 0 {
			i := r.Intn(len(held))
			for _, b := range held[i] {
				if b != held[i][0] {
					t.Fatal("two buffers overlap")
				}
			}
			a.Free(held[i])
			held = append(held[:i], held[i+1:]...)
			continue
		}
		b, err := a.Alloc(1 + r.Intn(1<<uint(r.Intn(17))))
		if errors.Is(err, ErrArenaFull) {
			continue
		}
		if err != nil || !block.IsAligned(b, 4096) {
			t.Fatalf("buffer %p: %v", b, err)
		}
		mark := byte(r.Int())
		for i := range b {
			b[i] = mark
		}
		held = append(held, b)
	}
	for _, b := range held {
		a.Free(b[:0]) // only the start of the slice matters
	}
	if b, err := a.Alloc(1 << 20); err != nil || len(b) != 1<<20 {
		t.Fatalf("all of it: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][2]int{{0, 512}, {4096, 3}, {4096, 8192}} {
		if _, err := NewArena(bad[0], bad[1]); err == nil {
			t.Errorf("an arena of %d bytes aligned to %d was made", bad[0], bad[1])
		}
	}
}

func TestSectionRange(t *testing.T) {
	dev := NewOverlay(zeros(8192))
	for _, c := range [][2]int64{{-1, 10}, {0, 8193}, {8192, 1}, {1, 8192}, {1 << 62, 1 << 62}, {0, -1}} {
		if _, err := Section(dev, c[0], c[1]); err == nil {
			t.Errorf("a section of %d bytes at %d was made of 8192", c[1], c[0])
		}
	}
}

// zeros is a device of zeros that can only be read.
type zeros int64

func (z zeros) ReadAt(p []byte, _ int64) (int, error)  { clear(p); return len(p), nil }
func (z zeros) WriteAt(_ []byte, _ int64) (int, error) { return 0, ErrReadOnly }
func (z zeros) Flush() error                           { return ErrReadOnly }
func (z zeros) Size() int64                            { return int64(z) }
func (z zeros) Align() int                             { return 1 }
func (z zeros) Queue(int) (Queue, error)               { return nil, ErrReadOnly }
func (z zeros) Close() error                           { return nil }
