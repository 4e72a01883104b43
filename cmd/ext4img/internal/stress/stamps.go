package stress

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// stampUnit is the granularity of verified content, in bytes.
const stampUnit = 512

// maxStamped bounds the file size that can be verified: its bitmap takes memory.
const maxStamped = 1 << 38

// stamps knows which units of a file were written. What a unit holds depends on its place and the seed alone, so
// writes of one place may overlap and complete in any order.
type stamps struct {
	seed  uint64
	loose bool // units may have been zeroed since
	fresh bool // the file was empty: what was never written reads as zeros
	mu    sync.Mutex
	bits  []uint64
}

func newStamps(size int64, seed uint64) (*stamps, error) {
	if size > maxStamped {
		return nil, fmt.Errorf("verify: %d bytes: more than %d", size, int64(maxStamped))
	}
	return &stamps{seed: seed, bits: make([]uint64, size/stampUnit/64+1)}, nil
}

// word is what stands at an offset: splitmix64 of it.
func (s *stamps) word(off int64) uint64 {
	z := s.seed + uint64(off)*0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// fill stamps a buffer to be written at off, both in whole units.
func (s *stamps) fill(p []byte, off int64) {
	for i := 0; i+8 <= len(p); i += 8 {
		binary.LittleEndian.PutUint64(p[i:], s.word(off+int64(i)))
	}
}

// written notes that a write came back without error.
func (s *stamps) written(off int64, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for u := off / stampUnit; u < (off+int64(n))/stampUnit; u++ {
		s.bits[u/64] |= 1 << (u % 64)
	}
}

// verify reads everything back and returns how many units it compared.
func (s *stamps) verify(r io.ReaderAt, size int64) (units int64, err error) {
	buf := make([]byte, 1<<20)
	for off := int64(0); off < size; off += int64(len(buf)) {
		n, err := r.ReadAt(buf[:min(int64(len(buf)), size-off)], off)
		if err != nil && err != io.EOF {
			return units, err
		}
		for i := 0; i+stampUnit <= n; i += stampUnit {
			u := (off + int64(i)) / stampUnit
			written := s.bits[u/64]&(1<<(u%64)) != 0
			if !written && !s.fresh {
				continue
			}
			if err := s.check(buf[i:i+stampUnit], off+int64(i), s.loose || !written); err != nil {
				return units, err
			}
			if written {
				units++
			}
		}
	}
	return units, nil
}

// check compares one unit, which is stamped, or may be zero.
func (s *stamps) check(p []byte, off int64, zero bool) error {
	for i := 0; i < len(p) && zero; i++ {
		zero = p[i] == 0
	}
	for i := 0; i < len(p) && !zero; i += 8 {
		if got, want := binary.LittleEndian.Uint64(p[i:]), s.word(off+int64(i)); got != want {
			return fmt.Errorf("verify: byte %d: 0x%016x, want 0x%016x", off+int64(i), got, want)
		}
	}
	return nil
}
