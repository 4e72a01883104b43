package main

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ext4img/testimages/judge"
)

// newTable makes a sparse disk of 64 MiB with a table by a script for sfdisk, in sectors of 512 or 4096 bytes.
func newTable(t *testing.T, sector int, script string) string {
	t.Helper()
	judge.Need(t, "sfdisk")
	disk := filepath.Join(t.TempDir(), "disk")
	if err := errorsOf(os.WriteFile(disk, nil, 0o600), os.Truncate(disk, 64<<20)); err != nil {
		t.Fatal(err)
	}
	dev := disk
	if sector != 512 {
		if os.Geteuid() != 0 {
			t.Skip("judge missing: root")
		}
		out, err := judge.Command(t, "losetup", "--sector-size", "4096", "--find", "--show", disk).CombinedOutput()
		if err != nil {
			t.Skipf("judge missing: losetup (%v: %s)", err, out)
		}
		dev = strings.TrimSpace(string(out))
		defer func() { _ = judge.Command(t, "losetup", "-d", dev).Run() }()
	}
	judge.Feed(t, script, "sfdisk", "-q", "--no-reread", "--no-tell-kernel", dev)
	return disk
}

// TestPartitionKinds: the partition that holds ext4 is found wherever the kernel or sfdisk sees it, and only it is changed.
func TestPartitionKinds(t *testing.T) {
	part := newImage(t, "8M")
	for _, c := range []struct {
		name, script string
		sector       int
		off          int64
		flag         string
	}{
		{"logical", "label: dos\nstart=2048,size=100000,type=5\nstart=4096,size=20480\n", 512, 4096 * 512, ""},
		{"logical by number", "label: dos\nstart=2048,size=100000,type=f\nstart=4096,size=2048\nstart=8192,size=20480\n", 512, 8192 * 512, "--partition 6 "},
		{"logical after primary", "label: dos\nstart=100,size=100\nstart=2048,size=100000,type=85\nstart=4096,size=4096\nstart=40000,size=20480\n", 512, 40000 * 512, ""},
		{"GPT of 4096", "label: gpt\nstart=256,size=4096\n", 4096, 256 * 4096, ""},
		{"GPT of 4096 by number", "label: gpt\nstart=256,size=16\n start=512,size=2048\n", 4096, 512 * 4096, "--partition 2 "},
		{"MBR of 4096", "label: dos\nstart=256,size=4096\n", 4096, 256 * 4096, ""},
		{"logical of 4096", "label: dos\nstart=256,size=10000,type=5\nstart=512,size=4096\n", 4096, 512 * 4096, "--partition 5 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := newTable(t, c.sector, c.script)
			copyInto(t, disk, part, c.off)
			ok(t, c.flag+"mkdir", disk, "/here")
			if out := ok(t, c.flag+"ls", disk, "/"); !strings.Contains(out, "here") {
				t.Errorf("ls: %s", out)
			}
			b, err := os.ReadFile(disk)
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "part")
			if err := os.WriteFile(out, b[c.off:c.off+8<<20], 0o600); err != nil {
				t.Fatal(err)
			}
			fsck(t, out)
			ok(t, c.flag+"verify", disk)
		})
	}
}

// TestPartitionCut: the disk ends before the partition does. What fits is used, and it is said.
func TestPartitionCut(t *testing.T) {
	part := newImage(t, "8M")
	for _, label := range []string{"dos", "gpt"} {
		disk := newTable(t, 512, "label: "+label+"\nstart=2048,size=120000\n")
		copyInto(t, disk, part, 2048*512)
		for _, size := range []int64{(2048+120000)*512 - 512, (2048+120000)*512 - 1, 20 << 20, 9 << 20} {
			if err := os.Truncate(disk, size); err != nil {
				t.Fatal(err)
			}
			r := cmd(t, nil, "touch", disk, "/f")
			if r.status != 0 || !strings.Contains(r.err, "partition 1 reaches") || !strings.Contains(r.err, "beyond the end") {
				t.Errorf("%s of %d bytes: %+v", label, size, r)
			}
		}
		if err := os.Truncate(disk, 9<<20-1); err != nil {
			t.Fatal(err)
		}
		if r := cmd(t, nil, "ls", disk, "/"); r.status != 1 || !strings.Contains(r.err, "truncated") {
			t.Errorf("%s without its last byte: %+v", label, r)
		}
		if err := os.Truncate(disk, 2048*512); err != nil {
			t.Fatal(err)
		}
		if r := cmd(t, nil, "--partition 1 ls", disk, "/"); r.status != 1 || !strings.Contains(r.err, "begins at") {
			t.Errorf("%s that ends before: %+v", label, r)
		}
	}
}

// TestStaleSuperblock: an ext4 superblock of the whole disk under a partition table never wins in silence.
func TestStaleSuperblock(t *testing.T) {
	whole, part := newImage(t, "64M", "-L", "whole"), newImage(t, "8M", "-L", "part")
	table := newTable(t, 512, "label: dos\nstart=2048,size=20480\nstart=40960,size=20480\n")
	b, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	mbr := filepath.Join(t.TempDir(), "mbr")
	if err := os.WriteFile(mbr, b[:512], 0o600); err != nil {
		t.Fatal(err)
	}
	copyInto(t, whole, mbr, 0)
	if r := cmd(t, nil, "info", whole); r.status != 1 || !strings.Contains(r.err, "--partition 0") {
		t.Errorf("no partition has a file system: %+v", r)
	}
	if out := ok(t, "--partition 0 info", whole); !strings.Contains(out, "whole") {
		t.Errorf("--partition 0: %s", out)
	}
	copyInto(t, whole, part, 2048*512)
	if r := cmd(t, nil, "info", whole); r.status != 0 || !strings.Contains(r.out, "part\n") || !strings.Contains(r.err, "taking partition 1") {
		t.Errorf("one has: %+v", r)
	}
	copyInto(t, whole, part, 40960*512)
	if r := cmd(t, nil, "info", whole); r.status != 1 || !strings.Contains(r.err, "several") || strings.Count(r.err, "\n") != 1 || strings.Contains(r.err, `\n`) {
		t.Errorf("two have: %+v", r)
	}
}

// TestHostileTable: a table that asks for gigabytes is refused by every command, in a line.
func TestHostileTable(t *testing.T) {
	for _, entry := range []string{"\xff\xff\xff\x00\x80\x00\x00\x00", "\x02\x00\x00\x00\x80\xff\xff\xff", "\xff\xff\xff\xff\xff\xff\xff\xff"} {
		disk := filepath.Join(t.TempDir(), "disk")
		if err := os.WriteFile(disk, hostileGPT(entry), 0o600); err != nil {
			t.Fatal(err)
		}
		for line, status := range map[string]int{"ls": 1, "info": 1, "verify": 8, "--partition 1 mkfs": 1, "touch": 1, "dump super": 1} {
			args := []string{disk}
			if line == "touch" {
				args = append(args, "/f")
			}
			if r := cmd(t, nil, line, args...); r.status != status || strings.Count(r.err, "\n") != 1 || !strings.Contains(r.err, "damaged partition table") {
				t.Errorf("%s: %+v", line, r)
			}
		}
	}
}

// hostileGPT is a disk of 1 MiB with a GPT header whose number and size of entries are these eight bytes; its checksum is right.
func hostileGPT(claim string) []byte {
	b := make([]byte, 1<<20)
	copy(b[446:], "\x00\x00\x02\x00\xee\xff\xff\xff\x01\x00\x00\x00\xff\x07\x00\x00")
	b[510], b[511] = 0x55, 0xAA
	h := b[512 : 512+92]
	copy(h, "EFI PART\x00\x00\x01\x00\x5c")
	h[24] = 1
	h[72] = 2
	copy(h[80:], claim)
	binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(h))
	return b
}
