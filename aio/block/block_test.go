package block

import "testing"

func TestAligned(t *testing.T) {
	for _, n := range []int{0, 1, 511, 512, 4096, 4097, 1 << 20} {
		for align := 1; align <= 1<<16; align *= 2 {
			p := Aligned(n, align)
			if len(p) != n || n > 0 && !IsAligned(p, align) {
				t.Errorf("%d bytes at multiples of %d: %d bytes, aligned: %v", n, align, len(p), IsAligned(p, align))
			}
		}
	}
}

// TestCrc32c: the check value of CRC-32C, without the last inversion, and in two parts.
func TestCrc32c(t *testing.T) {
	p := []byte("123456789")
	const want = ^uint32(0xE3069283)
	if got := Crc32c(^uint32(0), p); got != want {
		t.Errorf("%#x, want %#x", got, want)
	}
	if got := Crc32c(Crc32c(^uint32(0), p[:4]), p[4:]); got != want {
		t.Errorf("in parts: %#x, want %#x", got, want)
	}
}
