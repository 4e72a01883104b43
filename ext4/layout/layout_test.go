package layout

import (
	"os"
	"testing"
	"time"

	"ext4img/aio/block"
	"ext4img/testimages/judge"
)

func TestCrc32cKnownValue(t *testing.T) {
	if got := ^block.Crc32c(^uint32(0), []byte("123456789")); got != 0xE3069283 {
		t.Errorf("Crc32c = %#x", got)
	}
	if got := Crc16(0, []byte("123456789")); got != 0xBB3D {
		t.Errorf("Crc16 = %#x", got)
	}
}

// TestChecksumsOfMke2fs: what mke2fs wrote must verify: superblock, every descriptor and every inode in use.
func TestChecksumsOfMke2fs(t *testing.T) {
	for _, opts := range [][]string{
		{"-t", "ext4"}, {"-t", "ext4", "-b", "1024"}, {"-t", "ext4", "-O", "^metadata_csum,uninit_bg"}, {"-t", "ext3"},
		{"-t", "ext4", "-I", "128"}, {"-t", "ext4", "-O", "^64bit"}, {"-t", "ext4", "-O", "metadata_csum_seed"},
		{"-t", "ext4", "-O", "bigalloc", "-C", "65536"}, {"-t", "ext4", "-O", "meta_bg,^resize_inode", "-b", "1024"},
		{"-t", "ext4", "-O", "bigalloc", "-b", "1024", "-C", "16384"}, {"-t", "ext4", "-O", "sparse_super2"},
	} {
		f, err := os.Open(judge.Mke2fs(t, "300M", opts...))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		read := func(p Pblk, bs, off, n int) []byte {
			b := make([]byte, n)
			if _, err := f.ReadAt(b, int64(p)*int64(bs)+int64(off)); err != nil {
				t.Fatal(err)
			}
			return b
		}
		s, err := ParseSuperblock(read(1, 1024, 0, 1024))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.VerifyChecksum(); err != nil {
			t.Errorf("%v: %v", opts, err)
		}
		g, err := NewGeometry(s)
		if err != nil {
			t.Fatalf("%v: %v", opts, err)
		}
		for group := range g.Groups {
			p, off := g.DescLoc(group)
			d := Desc(read(p, g.BlockSize, off, g.DescSize))
			if err := (DescType{g, group}).Verify(d); err != nil {
				t.Fatalf("%v: %v", opts, err)
			}
			if d.Flags()&DescBlockUninit == 0 {
				bt := BitmapType{g, group, false, d.BlockBitmapCsum()}
				if err := bt.Verify(read(d.BlockBitmap(), g.BlockSize, 0, g.BlockSize)); err != nil {
					t.Errorf("%v: %v", opts, err)
				}
			}
			if d.Flags()&DescInodeUninit == 0 {
				bt := BitmapType{g, group, true, d.InodeBitmapCsum()}
				if err := bt.Verify(read(d.InodeBitmap(), g.BlockSize, 0, g.BlockSize)); err != nil {
					t.Errorf("%v: %v", opts, err)
				}
				for i := range 12 {
					ino := Ino(uint32(group)*g.InodesPerGroup + uint32(i) + 1)
					rec := read(d.InodeTable(), g.BlockSize, i*g.InodeSize, g.InodeSize)
					if err := (InodeType{g, ino}).Verify(rec); err != nil {
						t.Errorf("%v: %v", opts, err)
					}
				}
			}
		}
	}
}

func TestInodeTimes(t *testing.T) {
	i := make(Inode, 256)
	i.SetExtraIsize(32)
	for _, want := range []time.Time{time.Unix(0, 1), time.Unix(-1<<31+1, 999999999), time.Unix(1<<31, 5), time.Unix(1<<32, 0),
		time.Unix(1<<31-2+3<<32, 7), time.Unix(1700000000, 123456789)} {
		i.SetMtime(want)
		if !i.Mtime().Equal(want) {
			t.Errorf("got %v, want %v", i.Mtime(), want)
		}
	}
	const first, last = int64(-1 << 31), int64(1<<34 - 1<<31 - 1) // both without fractions of a second, as in the kernel
	for sec, want := range map[int64]int64{first: first, first - 1: first, last: last, last + 1: last} {
		i.SetMtime(time.Unix(sec, 999999999))
		if got := i.Mtime(); !got.Equal(time.Unix(want, 0)) {
			t.Errorf("second %d came back as %v, want second %d", sec, got, want)
		}
	}
	short := make(Inode, 128)
	short.SetMtime(time.Unix(1<<33, 9))
	if got := short.Mtime().Unix(); got != 1<<31-1 {
		t.Errorf("a time beyond 2038 in a short inode: %d", got)
	}
}

func TestInodeDevice(t *testing.T) {
	for _, d := range [][2]uint32{{8, 1}, {255, 255}, {256, 0}, {259, 1 << 19}, {4095, 1<<20 - 1}, {1, 256}} {
		i := make(Inode, 128)
		i.SetDevice(d[0], d[1])
		if major, minor := i.Device(); major != d[0] || minor != d[1] {
			t.Errorf("device %v came back as %d,%d", d, major, minor)
		}
	}
}
