package main

import (
	"fmt"
	"strings"

	"ext4img/aio"
	"ext4img/aio/parttable"
	"ext4img/ext4/layout"

	"github.com/diskfs/go-diskfs/partition/part"
)

// choosePartition returns the device, or the partition of it, that holds the file system. want 0: the only one.
func choosePartition(dev aio.Device, want int) (aio.Device, error) {
	if want == 0 && hasSuper(dev, 0) {
		return dev, nil
	}
	parts := parttable.Read(dev)
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
