package layout

import "testing"

// TestMaxFileSize compares with the sizes that Linux 6.18 lets files be truncated to, and refuses one byte more.
func TestMaxFileSize(t *testing.T) {
	for _, c := range []struct {
		blockSize       int
		huge            bool
		extents, mapped int64
	}{
		{1024, true, 0x3fffffffc00, 0x404043000},
		{1024, false, 0x1fffffffc00, 0x404043000},
		{2048, true, 0x7fffffff800, 0x4020106000},
		{2048, false, 0x1fffffff800, 0x4020106000},
		{4096, true, 0xffffffff000, 0x4010040c000},
		{4096, false, 0x1fffffff000, 0x1ff7fdfe000},
	} {
		g := &Geometry{BlockSize: c.blockSize}
		if c.huge {
			g.ROCompat = ROCompatHugeFile
		}
		if n := g.MaxFileSize(); n != c.extents {
			t.Errorf("%d-byte blocks, huge_file %v, extents: %#x, want %#x", c.blockSize, c.huge, n, c.extents)
		}
		if n := g.MaxMappedSize(); n != c.mapped {
			t.Errorf("%d-byte blocks, huge_file %v, block numbers: %#x, want %#x", c.blockSize, c.huge, n, c.mapped)
		}
	}
	for bs := 1024; bs <= 65536; bs *= 2 {
		for _, features := range []ROCompat{0, ROCompatHugeFile} {
			g := &Geometry{BlockSize: bs, ROCompat: features}
			if n, m := g.MaxFileSize(), g.MaxMappedSize(); n%int64(bs) != 0 || m%int64(bs) != 0 || m <= 0 || m > n {
				t.Errorf("%d-byte blocks: %#x by extents, %#x by block numbers", bs, n, m)
			}
		}
	}
}
