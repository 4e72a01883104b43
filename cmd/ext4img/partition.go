package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"ext4img/aio"
	"ext4img/ext4/layout"

	"github.com/diskfs/go-diskfs/partition"
	"github.com/diskfs/go-diskfs/partition/part"
)

// choosePartition returns the device, or the partition of it, that holds the file system. want 0: the only one.
func choosePartition(dev aio.Device, want int) (aio.Device, error) {
	if want == 0 && hasSuper(dev, 0) {
		return dev, nil
	}
	parts := readTable(dev)
	if len(parts) == 0 {
		if want != 0 {
			return nil, fmt.Errorf("partition %d: no partition table", want)
		}
		return dev, nil // not ext4: who opens it says so
	}
	var found []part.Partition
	for _, p := range parts {
		if want != 0 && p.GetIndex() == want || want == 0 && hasSuper(dev, p.GetStart()) {
			found = append(found, p)
		}
	}
	switch {
	case len(found) == 1:
		return aio.Section(dev, found[0].GetStart(), found[0].GetSize())
	case want != 0:
		return nil, fmt.Errorf("partition %d: there is none; there are\n%s", want, listPartitions(dev, parts))
	case len(found) == 0:
		return nil, fmt.Errorf("no partition holds an ext4 file system:\n%s", listPartitions(dev, parts))
	}
	return nil, fmt.Errorf("several partitions hold an ext4 file system, choose one with --partition N:\n%s", listPartitions(dev, found))
}

// hasSuper tells whether the magic number of ext2, ext3 and ext4 stands where it belongs.
func hasSuper(dev aio.Device, start int64) bool {
	p := make([]byte, layout.SuperSize)
	if n, err := dev.ReadAt(p, start+layout.SuperOffset); n < len(p) && err != nil {
		return false
	}
	_, err := layout.ParseSuperblock(p)
	return err == nil
}

// readTable reads an MBR or GPT partition table; nil if there is none. The parser is not ours: what
// it does with damaged tables must not end the program.
func readTable(dev aio.Device) (parts []part.Partition) {
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

// listPartitions is the list for an error message.
func listPartitions(dev aio.Device, parts []part.Partition) string {
	var lines []string
	for _, p := range parts {
		what := ""
		if hasSuper(dev, p.GetStart()) {
			what = "  ext4"
		}
		lines = append(lines, fmt.Sprintf("  %d: start %d, size %s%s", p.GetIndex(), p.GetStart(), shortSize(p.GetSize()), what))
	}
	return strings.Join(lines, "\n")
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
