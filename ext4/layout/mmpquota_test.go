package layout_test

import (
	"encoding/binary"
	"testing"

	"ext4img/aio/block"
	"ext4img/ext4/layout"
	"ext4img/testimages"
)

func TestMMPBlockOfMke2fs(t *testing.T) {
	p := testimages.Bytes(t, "mmp")
	s := layout.Superblock(p[1024:2048])
	bs := 1024 << s.LogBlockSize()
	m, err := layout.ParseMMP(p[int(s.MMPBlock())*bs:][:bs])
	if err != nil {
		t.Fatal(err)
	}
	seed := block.Crc32c(^uint32(0), s.UUID())
	if m.Magic() != layout.MMPMagic || m.Sequence() != layout.MMPClean || m.ComputeChecksum(seed) != m.Checksum() {
		t.Errorf("magic %#x, sequence %#x, checksum %#x, want %#x", m.Magic(), m.Sequence(), m.Checksum(), m.ComputeChecksum(seed))
	}
	if _, err := layout.ParseMMP(p[:100]); err == nil {
		t.Error("a short block was taken")
	}
}

// The quota files of mke2fs have entries for root. They are in the fifth block, after the four levels of the tree.
func TestQuotaFileOfMke2fs(t *testing.T) {
	p := testimages.Bytes(t, "quota")
	found := 0
	for off := 0; off+8*layout.QuotaBlockSize <= len(p); off += 4096 {
		if magic := binary.LittleEndian.Uint32(p[off:]); magic != layout.QuotaMagics[0] && magic != layout.QuotaMagics[1] && magic != layout.QuotaMagics[2] {
			continue
		}
		found++
		h, err := layout.ParseQuotaHeader(p[off:])
		if err != nil || h.Version() != layout.QuotaVersion || h.Blocks() < 6 {
			t.Fatalf("version %d, %d blocks, %v", h.Version(), h.Blocks(), err)
		}
		entries := layout.QuotaEntries(p[off+5*layout.QuotaBlockSize:][:layout.QuotaBlockSize])
		if e := entries[0]; !e.Used() || e.ID() != 0 || e.Inodes() < 2 || e.Space() < 4096 {
			t.Errorf("id %d, %d inodes, %d bytes", e.ID(), e.Inodes(), e.Space())
		}
	}
	if found != 3 {
		t.Errorf("%d quota files, want 3", found)
	}
	if _, err := layout.ParseQuotaHeader(p[:100]); err == nil {
		t.Error("a short block was taken")
	}
}
