// Package parttable finds the partitions of a disk image or a block device: MBR and GPT.
package parttable

import (
	"errors"
	"io"
	"io/fs"
	"time"

	"ext4img/aio"

	"github.com/diskfs/go-diskfs/partition"
	"github.com/diskfs/go-diskfs/partition/part"
)

// Read reads an MBR or GPT partition table; nil if there is none. The parser is not ours: what
// it does with damaged tables must not end the program.
func Read(dev aio.Device) (parts []part.Partition) {
	defer func() {
		if recover() != nil {
			parts = nil
		}
	}()
	for _, sector := range []int{512, 4096} {
		t, err := partition.Read(&tableFile{dev: dev}, sector, sector)
		if err != nil {
			continue
		}
		for _, p := range t.GetPartitions() {
			if p.GetSize() > 0 && p.GetStart() > 0 && p.GetSize() <= dev.Size()-p.GetStart() {
				parts = append(parts, p)
			}
		}
		if len(parts) > 0 {
			return parts
		}
	}
	return nil
}

// tableFile shows a device to the parser of partition tables: it can read, and nothing else.
type tableFile struct {
	dev aio.Device
	pos int64
}

func (f *tableFile) ReadAt(p []byte, off int64) (int, error) { return f.dev.ReadAt(p, off) }

func (f *tableFile) Read(p []byte) (int, error) {
	n, err := f.dev.ReadAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

func (f *tableFile) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += f.pos
	case io.SeekEnd:
		off += f.dev.Size()
	}
	if off < 0 {
		return 0, errors.New("seek: before the beginning")
	}
	f.pos = off
	return off, nil
}

func (f *tableFile) Close() error               { return nil }
func (f *tableFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f *tableFile) Name() string               { return "disk" }
func (f *tableFile) Size() int64                { return f.dev.Size() }
func (f *tableFile) Mode() fs.FileMode          { return 0o400 }
func (f *tableFile) ModTime() time.Time         { return time.Time{} }
func (f *tableFile) IsDir() bool                { return false }
func (f *tableFile) Sys() any                   { return nil }
