package parttable_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"runtime"
	"testing"

	"ext4img/aio/parttable"
)

// mem is bytes as a Disk.
type mem struct{ *bytes.Reader }

func newMem(b []byte) mem { return mem{bytes.NewReader(b)} }

// TestClaims: a header may claim many and large entries, up to a bound. No claim makes the program allocate more than
// the largest table needs.
func TestClaims(t *testing.T) {
	for _, c := range []struct {
		count, each uint32
		ok          bool
	}{
		{128, 128, true}, {1, 128, true}, {4, 128, true}, {128, 256, true}, {16, 4096, true}, {32, 512, true},
		{0, 128, false}, {128, 0, false}, {128, 64, false}, {128, 127, false}, {128, 129, false}, {128, 192, false}, {8, 8192, false},
		{16 << 20, 128, false}, {math.MaxUint32, 128, false}, {2, 0xFFFFFF80, false}, {1, 0x80000000, false}, {math.MaxUint32, math.MaxUint32, false},
		{32768, 128, false}, {1 << 20, 4096, false}, {1 << 15, 256, false},
	} {
		for _, sector := range []int{512, 4096} {
			b := gpt(1<<20, sector, c.count, c.each)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			tables, err := parttable.Read(newMem(b), 0)
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
				t.Errorf("%d entries of %d bytes: %d bytes allocated", c.count, c.each, n)
			}
			if ok := err == nil && len(tables) == 1 && tables[0].SectorSize == sector && len(tables[0].Partitions) == int(c.count); ok != c.ok {
				t.Errorf("%d entries of %d bytes, sectors of %d: %v, %v", c.count, c.each, sector, tables, err)
			}
			if !c.ok && !errors.Is(err, parttable.ErrDamaged) {
				t.Errorf("%d entries of %d bytes: %v", c.count, c.each, err)
			}
		}
	}
}

// TestDamagedGPT: a wrong bit anywhere in header or entries is noticed. Without an MBR the primary is still found.
func TestDamagedGPT(t *testing.T) {
	good := gpt(1<<20, 512, 8, 128)
	for bit := 512 * 8; bit < (1024+8*128)*8; bit += 13 {
		if off := bit / 8; off >= 512+92 && off < 1024 {
			continue // not covered by the header's checksum
		}
		b := bytes.Clone(good)
		b[bit/8] ^= 1 << (bit % 8)
		if tables, err := parttable.Read(newMem(b), 0); !errors.Is(err, parttable.ErrDamaged) {
			t.Fatalf("bit %d: %v, %v", bit, tables, err)
		}
	}
	clear(good[:512])
	if tables, err := parttable.Read(newMem(good), 512); err != nil || len(tables[0].Partitions) != 8 {
		t.Errorf("without an MBR: %v, %v", tables, err)
	}
}

// TestNone: disks without a table.
func TestNone(t *testing.T) {
	boot := make([]byte, 1<<20)
	put(boot, 0, 0x83, 1, 100)
	boot[446] = 0x33 // code of a boot sector
	empty := make([]byte, 1<<20)
	empty[510], empty[511] = 0x55, 0xAA
	for name, b := range map[string][]byte{
		"nothing": nil, "short": make([]byte, 511), "one sector": make([]byte, 512), "zeros": make([]byte, 1<<20), "boot sector": boot, "no entries": empty,
	} {
		if tables, err := parttable.Read(newMem(b), 0); !errors.Is(err, parttable.ErrNone) {
			t.Errorf("%s: %v, %v", name, tables, err)
		}
	}
}

// TestLoops: a chain of EBRs that leads back, to itself, nowhere, or has no end.
func TestLoops(t *testing.T) {
	disk := func(links ...uint32) []byte {
		b := make([]byte, 4<<20)
		put(b, 0, 5, 100, 8000)
		for i, to := range links {
			ebr := b[(100+10*i)*512:][:512]
			put(ebr, 0, 0x83, 1, 5)
			put(ebr, 1, 5, to, 10)
		}
		return b
	}
	long := make([]uint32, 700)
	for i := range long {
		long[i] = uint32(10 * (i + 1))
	}
	for name, c := range map[string]struct {
		b    []byte
		want int
	}{
		"to itself": {disk(0), 1}, "to the first": {disk(10, 20, 0), 3}, "to the second": {disk(10, 20, 10), 3}, "beyond the end": {disk(10, 1<<31), 2},
		"far beyond": {disk(math.MaxUint32), 1}, "long": {disk(long...), 251},
	} {
		tables, err := parttable.Read(newMem(c.b), 512)
		if err != nil || len(tables[0].Partitions) != 1+c.want {
			t.Errorf("%s: %v, want %d logical ones: %v", name, tables, c.want, err)
		}
	}
}

// FuzzRead: no disk makes Read panic, and the result has the documented properties.
func FuzzRead(f *testing.F) {
	small := gpt(20<<10, 512, 8, 128)
	f.Add(small, false)
	f.Add(gpt(20<<10, 4096, 4, 256), true)
	mbr := make([]byte, 20<<10)
	put(mbr, 0, 0x83, 1, 10)
	put(mbr, 1, 5, 20, 19)
	put(mbr[20*512:], 0, 0x83, 1, 5)
	put(mbr[20*512:], 1, 5, 20, 10)
	put(mbr[39*512:], 0, 0x83, math.MaxUint32, math.MaxUint32)
	f.Add(mbr, false)
	f.Fuzz(func(t *testing.T, b []byte, large bool) {
		sector := 512
		if large {
			sector = 4096
		}
		repair(b)
		tables, err := parttable.Read(newMem(b), sector)
		if (err == nil) != (len(tables) > 0) || err != nil && !errors.Is(err, parttable.ErrNone) && !errors.Is(err, parttable.ErrDamaged) {
			t.Fatalf("%v, %v", tables, err)
		}
		for _, tb := range tables {
			last := 0
			for _, p := range tb.Partitions {
				if p.Number <= last || p.Start <= 0 || p.Size <= 0 || p.Start > math.MaxInt64-p.Size || p.Start%int64(tb.SectorSize) != 0 {
					t.Fatalf("%+v", tb)
				}
				last = p.Number
			}
		}
	})
}

// repair corrects the checksums of a GPT, so that fuzzing reaches the code behind them.
func repair(b []byte) {
	le := binary.LittleEndian
	for _, sector := range []int{512, 4096} {
		if len(b) < 2*sector || string(b[sector:sector+8]) != "EFI PART" {
			continue
		}
		h := b[sector:]
		at, n := le.Uint64(h[72:]), uint64(le.Uint32(h[80:]))*uint64(le.Uint32(h[84:]))
		if at < 1<<20 && n < 1<<20 && at*uint64(sector)+n <= uint64(len(b)) {
			le.PutUint32(h[88:], crc32.ChecksumIEEE(b[at*uint64(sector):][:n]))
		}
		clear(h[16:20])
		le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
	}
}
