// Package parttable finds the partitions of a disk image or a block device, as the kernel does: MBR with logical partitions, and
// GPT, in sectors of 512 and of 4096 bytes. It owns no bytes and only reads.
//
//	sector 0        MBR: four entries; one of type 0xEE says that a GPT follows
//	sector 1        GPT header, then the array of its entries; copies of both at the end of the disk
//	sector e        EBR of an extended partition that begins at e: one logical partition, and where the next EBR is
//
// The bytes of the disk are not trusted: no table makes the package read more than 4 MiB, loop or panic.
package parttable

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// A Disk is the device that a table is read from. An aio.Device is one.
type Disk interface {
	io.ReaderAt
	Size() int64 // bytes
}

// The kinds of tables.
const (
	MBR = "mbr"
	GPT = "gpt"
)

// A Table is a partition table.
type Table struct {
	Kind       string      // MBR or GPT
	SectorSize int         // bytes; the table counts in sectors of this size
	Backup     bool        // GPT only: the primary is damaged, and this is the copy at the end of the disk
	Partitions []Partition // by number
}

// A Partition is an entry of a table. Start and Size are what the table says: the disk may end before the partition
// does.
type Partition struct {
	Number   int   // as the kernel and sfdisk count: the place in the table from 1; logical partitions from 5 on
	Start    int64 // bytes, more than 0
	Size     int64 // bytes, more than 0; Start+Size does not overflow
	Extended bool  // holds logical partitions, and no file system
}

var (
	// ErrNone: the disk has no partition table.
	ErrNone = errors.New("no partition table")
	// ErrDamaged: the MBR of the disk promises a GPT, but the GPT and its copy are damaged.
	ErrDamaged = errors.New("damaged partition table")
)

// Read finds the partition table of a disk. sector is the size of the disk's sectors if it is known, as for a block
// device, or else 0.
//
// Read looks for a GPT in sectors of either size first. If it finds one, it returns that table alone; if the primary
// is damaged, it reads the copy. An MBR does not say how large its sectors are. Read then returns a table for each
// size in which the MBR makes sense: first the one for sector, or for 512 bytes if sector is 0. The content of the
// partitions tells the caller which table is right.
//
// Errors: ErrNone, ErrDamaged, or an error of the disk.
func Read(disk Disk, sector int) ([]*Table, error) {
	sectors := []int{512, 4096}
	if sector == 4096 {
		sectors = []int{4096, 512}
	}
	first, err := readAt(disk, 0, mbrSize)
	if err != nil {
		return nil, err
	}
	signed := hasSignature(first)
	protective := signed && isProtective(first)
	if protective || !signed {
		t, err := findGPT(disk, sectors, protective)
		if t != nil {
			return []*Table{t}, nil
		}
		if protective || !errors.Is(err, ErrNone) {
			return nil, err
		}
	}
	var tables []*Table
	for _, size := range sectors {
		t, err := readMBR(disk, first, size)
		if err != nil {
			return nil, err
		}
		if t != nil && len(t.Partitions) > 0 {
			tables = append(tables, t)
		}
	}
	if len(tables) == 0 {
		return nil, ErrNone
	}
	return tables, nil
}

// Find returns the partition with this number, or nil.
func (t *Table) Find(number int) *Partition {
	for i := range t.Partitions {
		if t.Partitions[i].Number == number {
			return &t.Partitions[i]
		}
	}
	return nil
}

// add adds a partition, given in sectors. It leaves out one that is empty, that begins where the table itself is, or
// that cannot be expressed in bytes.
func (t *Table) add(number int, start, count uint64, extended bool) {
	limit := uint64(math.MaxInt64) / uint64(t.SectorSize)
	if start == 0 || count == 0 || start > limit || count > limit-start {
		return
	}
	t.Partitions = append(t.Partitions, Partition{number, int64(start) * int64(t.SectorSize), int64(count) * int64(t.SectorSize), extended})
}

// readAt reads n bytes at off. A read beyond the end of the disk returns ErrNone.
func readAt(disk Disk, off int64, n int) ([]byte, error) {
	if off < 0 || int64(n) > disk.Size() || off > disk.Size()-int64(n) {
		return nil, ErrNone
	}
	p := make([]byte, n)
	if got, err := disk.ReadAt(p, off); got < n {
		return nil, fmt.Errorf("partition table: %w", err)
	}
	return p, nil
}
