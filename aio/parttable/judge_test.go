package parttable_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ext4img/aio/parttable"
	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

// disk is a file as a Disk.
type disk struct {
	*os.File
	size int64
}

func (d disk) Size() int64 { return d.size }

// read reads the table of a file, or of a loop device on it.
func read(t *testing.T, path string, sector int) ([]*parttable.Table, error) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Seek(0, 2)
	if err != nil {
		t.Fatal(err)
	}
	return parttable.Read(disk{f, size}, sector)
}

// newDisk makes a sparse file.
func newDisk(t *testing.T, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	return path
}

// seeded returns a random generator with the seed EXT4IMG_SEED, or with a new seed.
func seeded(t *testing.T) *rand.Rand {
	return rand.New(rand.NewPCG(effort.Seed(t, 0), 0))
}

// rounds is the number of random tables.
func rounds(short int) int { return effort.Ops(short, 50*short) }

// entry is one partition as a judge lists it, in sectors.
type entry struct{ number, start, size int64 }

func entriesOf(tb *parttable.Table) (out []entry) {
	for _, p := range tb.Partitions {
		out = append(out, entry{int64(p.Number), p.Start / int64(tb.SectorSize), p.Size / int64(tb.SectorSize)})
	}
	slices.SortFunc(out, func(a, b entry) int { return int(a.number - b.number) })
	return out
}

// bySfdisk lists the partitions that sfdisk reads.
func bySfdisk(t *testing.T, path string) (out []entry) {
	t.Helper()
	var dump struct {
		PartitionTable struct {
			Partitions []struct {
				Node        string
				Start, Size int64
			}
		}
	}
	cmd := judge.Command(t, "sfdisk", "-J", path)
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("sfdisk -J: %v", err)
	}
	if err := json.Unmarshal(text, &dump); err != nil {
		t.Fatal(err)
	}
	for _, p := range dump.PartitionTable.Partitions {
		n, err := strconv.ParseInt(strings.TrimPrefix(strings.TrimPrefix(p.Node, path), "p"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, entry{n, p.Start, p.Size})
	}
	slices.SortFunc(out, func(a, b entry) int { return int(a.number - b.number) })
	return out
}

// bySgdisk lists the partitions that sgdisk reads.
func bySgdisk(t *testing.T, path string) (out []entry) {
	t.Helper()
	text, _ := judge.Command(t, "sgdisk", "-p", path).CombinedOutput() // its exit status only tells of damage
	for _, m := range regexp.MustCompile(`(?m)^ +(\d+) +(\d+) +(\d+) +\S+ [KMGT]?i?B`).FindAllStringSubmatch(string(text), -1) {
		var n [3]int64
		for i := range n {
			n[i], _ = strconv.ParseInt(m[i+1], 10, 64)
		}
		out = append(out, entry{n[0], n[1], n[2] - n[1] + 1})
	}
	return out
}

// byPartx lists the partitions that libblkid reads, which agrees with the kernel. Like the kernel it counts in
// sectors of 512 bytes and cuts the size of extended partitions.
func byPartx(t *testing.T, path string) (out []entry) {
	t.Helper()
	text, err := judge.Command(t, "partx", "-s", "-g", "-o", "NR,START,SECTORS", path).CombinedOutput()
	if err != nil && len(text) > 0 && !strings.Contains(string(text), "failed to read partition table") {
		t.Fatalf("partx: %v: %s", err, text)
	}
	for line := range strings.Lines(string(text)) {
		var e entry
		if n, _ := fmt.Sscan(line, &e.number, &e.start, &e.size); n == 3 {
			out = append(out, e)
		}
	}
	return out
}

// TestRandomMBR: random primary, extended and logical partitions, some deleted, in sectors of both sizes. We must
// read what sfdisk reads.
func TestRandomMBR(t *testing.T) {
	judge.Need(t, "sfdisk")
	r := seeded(t)
	judged := 0
	for range rounds(10) {
		path := newDisk(t, 512<<20)
		sector := 512
		dev := path
		if os.Geteuid() == 0 && r.IntN(3) == 0 {
			sector, dev = 4096, attach(t, path)
		}
		if !sfdisk(t, dev, mbrScript(r, int64(512<<20/sector))) {
			continue // sfdisk refuses some scripts
		}
		if logical := r.IntN(4); logical > 0 { // the partitions after it get other numbers
			_ = judge.Command(t, "sfdisk", "-q", "--no-reread", "--delete", dev, strconv.Itoa(4+logical)).Run()
		}
		want := bySfdisk(t, dev)
		if len(want) == 0 {
			continue
		}
		judged++
		for _, hint := range []int{0, sector} {
			tables, err := read(t, path, hint)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(tables, func(tb *parttable.Table) bool { return tb.SectorSize == sector })
			if i < 0 || hint == sector && i != 0 || tables[i].Kind != parttable.MBR {
				t.Fatalf("no table of sectors of %d: %+v", sector, tables)
			}
			if got := entriesOf(tables[i]); !slices.Equal(got, want) {
				t.Errorf("sectors of %d:\n%v, sfdisk:\n%v", sector, got, want)
			}
		}
	}
	if judged == 0 {
		t.Error("no script of all could be")
	}
	t.Logf("%d tables", judged)
}

// mbrScript returns a random script for sfdisk.
func mbrScript(r *rand.Rand, sectors int64) string {
	lines := []string{"label: dos"}
	extended := r.IntN(4)
	at := 1 + r.Int64N(sectors/64)
	for i := range 4 {
		size := 1 + r.Int64N(sectors/5)
		if i == extended {
			size = sectors/6 + r.Int64N(sectors/16)
			lines = append(lines, fmt.Sprintf("start=%d,size=%d,type=%s", at, size, []string{"5", "f", "85"}[r.IntN(3)]))
			pos := at
			for j := 0; j < r.IntN(9); j++ {
				pos += 1 + r.Int64N(sectors/500+1)
				n := 1 + r.Int64N(sectors/100)
				if pos+n >= at+size {
					break
				}
				lines = append(lines, fmt.Sprintf("start=%d,size=%d", pos, n))
				pos += n
			}
		} else if r.IntN(4) > 0 {
			lines = append(lines, fmt.Sprintf("start=%d,size=%d", at, size))
		}
		at += size + r.Int64N(9)
	}
	return strings.Join(lines, "\n") + "\n"
}

// sfdisk runs a script and reports whether sfdisk accepted it.
func sfdisk(t *testing.T, dev, script string) bool {
	t.Helper()
	cmd := judge.Command(t, "sfdisk", "-q", "--no-reread", "--no-tell-kernel", dev)
	cmd.Stdin = strings.NewReader(script)
	return cmd.Run() == nil
}

// attach gives a file a loop device with sectors of 4096 bytes.
func attach(t *testing.T, path string) string {
	t.Helper()
	judge.Need(t, "losetup")
	out, err := judge.Command(t, "losetup", "--sector-size", "4096", "--find", "--show", path).CombinedOutput()
	if err != nil {
		t.Skipf("judge missing: losetup (%v: %s)", err, out)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() { _ = judge.Command(t, "losetup", "-d", dev).Run() })
	return dev
}

// TestRandomGPT: partitions at random numbers, tables of several lengths, hybrid MBRs, a damaged primary or copy.
func TestRandomGPT(t *testing.T) {
	judge.Need(t, "sgdisk", "sfdisk")
	r := seeded(t)
	for round := range rounds(6) {
		path := newDisk(t, 256<<20)
		sector := 512
		dev := path
		if os.Geteuid() == 0 && r.IntN(3) == 0 {
			sector, dev = 4096, attach(t, path)
		}
		args := []string{"-o", "-a", "1", "-S", strconv.Itoa([]int{128, 4, 256}[round%3])}
		at, sectors := int64(200), int64(256<<20/sector)
		var first int
		for range 1 + r.IntN(4) {
			n, size := 1+r.IntN(4), 1+r.Int64N(sectors/6)
			if round%3 != 1 {
				n = 1 + r.IntN(120)
			}
			if first == 0 {
				first = n
			}
			args = append(args, "-n", fmt.Sprintf("%d:%d:%d", n, at, at+size-1))
			at += size + r.Int64N(9)
		}
		if r.IntN(3) == 0 {
			args = append(args, "-h", strconv.Itoa(first))
		}
		_ = judge.Command(t, "sgdisk", append(args, dev)...).Run() // it may refuse a part: the judges tell
		want := bySgdisk(t, dev)
		if len(want) == 0 {
			continue
		}
		if w := bySfdisk(t, dev); !slices.Equal(w, want) {
			t.Fatalf("the judges differ: %v, %v", w, want)
		}
		damage := r.IntN(4)
		hurt(t, path, int64(sector), damage)
		tables, err := read(t, path, 0)
		if err != nil || len(tables) != 1 {
			t.Fatalf("sectors of %d, damage %d: %v, %v", sector, damage, tables, err)
		}
		tb := tables[0]
		if got := entriesOf(tb); !slices.Equal(got, want) || tb.Kind != parttable.GPT || tb.SectorSize != sector || tb.Backup != (damage == 1 || damage == 2) {
			t.Errorf("damage %d: %+v, sgdisk: %v", damage, tb, want)
		}
	}
}

// hurt damages a part of a GPT: 1 the header, 2 the entries, 3 the copy.
func hurt(t *testing.T, path string, sector int64, what int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	off := map[int]int64{1: sector + 60, 2: 2*sector + 5, 3: st.Size() - sector + 60}[what]
	if off == 0 {
		return
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x55
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
}

// put puts an entry into an MBR or EBR.
func put(p []byte, slot int, kind byte, start, count uint32) {
	e := p[446+16*slot:]
	e[4] = kind
	binary.LittleEndian.PutUint32(e[8:], start)
	binary.LittleEndian.PutUint32(e[12:], count)
	p[510], p[511] = 0x55, 0xAA
}

// TestChains: chains of EBRs that no program writes, but the kernel reads: in any order, with empty members, with
// garbage in the third and fourth entry, with several extended partitions. We must read what partx reads.
func TestChains(t *testing.T) {
	judge.Need(t, "partx")
	r := seeded(t)
	for range rounds(40) {
		path := newDisk(t, 8<<20)
		b := make([]byte, 8<<20)
		put(b, 0, 0x83, 1, 10)
		for slot := 1; slot <= 1+r.IntN(2); slot++ {
			ext, size := uint32(1000*slot), uint32(900)
			put(b, slot, []byte{5, 0xF, 0x85}[r.IntN(3)], ext, size)
			order := r.Perm(8)
			at := uint32(0)
			for i := range 1 + r.IntN(7) {
				ebr := b[(ext+at)*512:][:512]
				put(ebr, 0, 0x83, 1+uint32(r.IntN(4)), uint32(r.IntN(3)*20)) // one in three is empty
				if r.IntN(3) == 0 {
					put(ebr, 2+r.IntN(2), 0x83, uint32(30+r.IntN(70)), uint32(r.IntN(100)))
				}
				next := uint32(100 + 100*order[i])
				if r.IntN(5) == 0 && i > 0 {
					break
				}
				put(ebr, 1, 5, next, 100)
				at = next
			}
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		tables, err := read(t, path, 512)
		if err != nil {
			t.Fatal(err)
		}
		got, want := entriesOf(tables[0]), byPartx(t, path)
		for i := range got { // the size of an extended partition is cut by partx
			if p := tables[0].Find(int(got[i].number)); p.Extended && i < len(want) {
				want[i].size = got[i].size
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v, partx: %v", got, want)
		}
	}
}

// gpt makes a disk with a GPT whose header claims count entries of each bytes.
func gpt(size int, sector int, count, each uint32) []byte {
	b := make([]byte, size)
	put(b, 0, 0xEE, 1, uint32(size/sector-1))
	h := b[sector:]
	copy(h, "EFI PART")
	le := binary.LittleEndian
	le.PutUint32(h[8:], 0x10000)
	le.PutUint32(h[12:], 92)
	le.PutUint64(h[24:], 1)
	le.PutUint64(h[32:], uint64(size/sector-1))
	le.PutUint64(h[72:], 2)
	le.PutUint32(h[80:], count)
	le.PutUint32(h[84:], each)
	array := b[2*sector:]
	if n := uint64(count) * uint64(each); n <= uint64(len(array)) {
		for i := uint64(0); i < uint64(count); i++ {
			if e := array[i*uint64(each):]; each >= 48 {
				e[0] = 1
				le.PutUint64(e[32:], 1000+i)
				le.PutUint64(e[40:], 1000+i)
			}
		}
		le.PutUint32(h[88:], crc32.ChecksumIEEE(array[:n]))
	}
	le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
	return b
}
