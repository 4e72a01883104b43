package parttable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Offsets of the fields of the GPT header (UEFI 2.10 section 5.3.2).
const (
	gptSignature  = "EFI PART"
	gptHeaderSize = 12 // le32
	gptHeaderCRC  = 16 // le32, of HeaderSize bytes with this field zero
	gptMyLBA      = 24 // le64
	gptEntriesLBA = 72 // le64
	gptCount      = 80 // le32
	gptEntrySize  = 84 // le32
	gptEntriesCRC = 88 // le32
	gptMinHeader  = 92

	// An entry: PartitionTypeGUID, UniquePartitionGUID, StartingLBA le64, EndingLBA le64 (inclusive), …
	gptEntryType  = 16 // bytes at 0; zero is an unused entry
	gptEntryStart = 32
	gptEntryEnd   = 40
	gptMinEntry   = 128
	gptMaxEntry   = 4096
	gptMaxArray   = 4 << 20 // bytes, as in the kernel: KMALLOC_MAX_SIZE
)

// findGPT looks for a primary GPT in sectors of each size, then for the copies at the end of the disk. If the MBR
// does not promise a GPT, a copy at the end is left over from another table, and findGPT does not look for it.
func findGPT(disk Disk, sectors []int, protective bool) (*Table, error) {
	reason := fmt.Errorf("GPT: no header: %w", ErrDamaged)
	found := false
	try := func(sector int, lba int64) (*Table, error) {
		t, err := readGPT(disk, sector, lba)
		if errors.Is(err, ErrDamaged) && !found {
			reason, found = err, true
		}
		if errors.Is(err, ErrNone) || errors.Is(err, ErrDamaged) {
			err = nil
		}
		return t, err
	}
	for _, sector := range sectors {
		if t, err := try(sector, 1); t != nil || err != nil {
			return t, err
		}
	}
	if !protective {
		return nil, ErrNone
	}
	for _, sector := range sectors {
		t, err := try(sector, disk.Size()/int64(sector)-1)
		if t != nil {
			t.Backup = true
		}
		if t != nil || err != nil {
			return t, err
		}
	}
	return nil, reason
}

// readGPT reads the table whose header is in sector lba.
//
// Errors: ErrNone if there is no header, ErrDamaged if the header or its entries are wrong, or an error of the disk.
func readGPT(disk Disk, sector int, lba int64) (*Table, error) {
	h, err := readAt(disk, lba*int64(sector), sector)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(h, []byte(gptSignature)) {
		return nil, ErrNone
	}
	damaged := func(format string, args ...any) (*Table, error) {
		return nil, fmt.Errorf("GPT: header in sector %d of %d bytes: %s: %w", lba, sector, fmt.Sprintf(format, args...), ErrDamaged)
	}
	le := binary.LittleEndian
	size, sum := le.Uint32(h[gptHeaderSize:]), le.Uint32(h[gptHeaderCRC:])
	if size < gptMinHeader || uint64(size) > uint64(sector) {
		return damaged("size %d", size)
	}
	clear(h[gptHeaderCRC : gptHeaderCRC+4])
	if got := crc32.ChecksumIEEE(h[:size]); got != sum {
		return damaged("checksum 0x%08x, want 0x%08x", got, sum)
	}
	if my := le.Uint64(h[gptMyLBA:]); my != uint64(lba) {
		return damaged("made for sector %d", my)
	}
	count, each := uint64(le.Uint32(h[gptCount:])), uint64(le.Uint32(h[gptEntrySize:]))
	if each < gptMinEntry || each > gptMaxEntry || each&(each-1) != 0 || count == 0 || count*each > gptMaxArray {
		return damaged("%d entries of %d bytes", count, each)
	}
	at := le.Uint64(h[gptEntriesLBA:])
	if at > uint64(disk.Size())/uint64(sector) {
		return damaged("entries in sector %d, beyond the end", at)
	}
	array, err := readAt(disk, int64(at)*int64(sector), int(count*each))
	if errors.Is(err, ErrNone) {
		return damaged("%d entries of %d bytes in sector %d reach beyond the end", count, each, at)
	}
	if err != nil {
		return nil, err
	}
	if got, want := crc32.ChecksumIEEE(array), le.Uint32(h[gptEntriesCRC:]); got != want {
		return damaged("checksum of the entries 0x%08x, want 0x%08x", got, want)
	}
	return gptTable(array, int(each), sector), nil
}

// gptTable decodes the array of entries.
func gptTable(array []byte, each, sector int) *Table {
	t := &Table{Kind: GPT, SectorSize: sector}
	unused := make([]byte, gptEntryType)
	for i := 0; i*each < len(array); i++ {
		e := array[i*each:][:each]
		start, end := binary.LittleEndian.Uint64(e[gptEntryStart:]), binary.LittleEndian.Uint64(e[gptEntryEnd:])
		if !bytes.Equal(e[:gptEntryType], unused) && start <= end {
			t.add(i+1, start, end-start+1, false)
		}
	}
	return t
}
