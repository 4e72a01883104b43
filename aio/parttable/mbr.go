package parttable

import (
	"encoding/binary"
	"errors"
)

// The MBR, and each EBR, ends with four entries of 16 bytes and a signature. An entry: boot_ind u8, three bytes of CHS, sys_ind u8,
// three of CHS, start_sect le32, nr_sects le32.
const (
	mbrSize        = 512
	mbrEntries     = 446
	mbrEntrySize   = 16
	mbrSignature   = 510
	typeProtective = 0xEE // EFI_PMBR_OSTYPE_EFI_GPT
	firstLogical   = 5
	// maxLogical bounds the logical partitions, as DISK_MAX_PARTS does in the kernel.
	maxLogical = 256
	// maxEmpty bounds the EBRs without a partition in a row, as in the kernel's parse_extended.
	maxEmpty = 100
)

// mbrEntry is an entry of an MBR or EBR.
type mbrEntry struct {
	boot, kind   byte
	start, count uint64 // sectors
}

func hasSignature(p []byte) bool { return p[mbrSignature] == 0x55 && p[mbrSignature+1] == 0xAA }

// entries decodes the four entries.
func entries(p []byte) (all [4]mbrEntry) {
	for i := range all {
		e := p[mbrEntries+i*mbrEntrySize:][:mbrEntrySize]
		all[i] = mbrEntry{e[0], e[4], uint64(binary.LittleEndian.Uint32(e[8:])), uint64(binary.LittleEndian.Uint32(e[12:]))}
	}
	return all
}

// isProtective reports whether the MBR promises a GPT. A hybrid MBR has other entries as well.
func isProtective(p []byte) bool {
	for _, e := range entries(p) {
		if e.kind == typeProtective {
			return true
		}
	}
	return false
}

// isExtended reports whether an entry is an extended partition: of DOS, Windows 95 or Linux.
func (e mbrEntry) isExtended() bool { return e.kind == 0x05 || e.kind == 0x0F || e.kind == 0x85 }

// readMBR reads the table whose first sector is p. It returns nil if p is no table. A boot sector has the same
// signature, but its entries are neither bootable (0x80) nor not bootable (0).
func readMBR(disk Disk, p []byte, sector int) (*Table, error) {
	if !hasSignature(p) {
		return nil, nil
	}
	all := entries(p)
	for _, e := range all {
		if e.boot&0x7F != 0 {
			return nil, nil
		}
	}
	t := &Table{Kind: MBR, SectorSize: sector}
	for i, e := range all {
		t.add(i+1, e.start, e.count, e.isExtended())
	}
	next := firstLogical
	for _, e := range all {
		if !e.isExtended() || e.start == 0 || e.count == 0 {
			continue
		}
		var err error
		if next, err = t.addLogical(disk, e, next); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// addLogical follows the chain of EBRs of an extended partition and adds its logical partitions, numbered from next
// on. It works as parse_extended in block/partitions/msdos.c: a link that leads nowhere, or back, just ends the
// chain.
func (t *Table) addLogical(disk Disk, ext mbrEntry, next int) (int, error) {
	seen := map[uint64]bool{}
	at, size := ext.start, ext.count
	for empty := 0; empty < maxEmpty && !seen[at]; empty++ {
		seen[at] = true
		p, err := readAt(disk, int64(at)*int64(t.SectorSize), mbrSize)
		if errors.Is(err, ErrNone) {
			return next, nil
		}
		if err != nil || !hasSignature(p) {
			return next, err
		}
		all := entries(p)
		for i, e := range all {
			if e.count == 0 || e.isExtended() || i >= 2 && !inside(ext, at, size, e) {
				continue
			}
			if next == maxLogical {
				return next, nil
			}
			t.add(next, at+e.start, e.count, false)
			next++
			empty = 0
		}
		link := firstLink(all)
		if link.count == 0 {
			return next, nil
		}
		at, size = ext.start+link.start, link.count
	}
	return next, nil
}

// inside reports whether an entry of the EBR at a sector stays inside the EBR's part and the extended partition. The
// third and fourth entry must pass this check, because on some disks they hold garbage.
func inside(ext mbrEntry, at, size uint64, e mbrEntry) bool {
	return e.start+e.count <= size && at+e.start >= ext.start && at+e.start+e.count <= ext.start+ext.count
}

// firstLink returns the entry that leads to the next EBR, or an empty one.
func firstLink(all [4]mbrEntry) mbrEntry {
	for _, e := range all {
		if e.count != 0 && e.isExtended() {
			return e
		}
	}
	return mbrEntry{}
}
