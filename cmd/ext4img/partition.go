package main

import (
	"errors"
	"fmt"
	"strings"

	"ext4img/aio"
	"ext4img/aio/parttable"
	"ext4img/cmd/ext4img/internal/sizes"
	"ext4img/ext4/layout"
)

// A selection is which part of a device is meant.
type selection struct {
	number int          // of the partition
	given  bool         // by the user; number 0 is then the whole device. Otherwise it is the only one that holds ext4
	warn   func(string) // is told what the user should know about the choice
}

// selected is what the user chose.
func selected(e *env, path string) selection {
	warn := func(s string) { complain(messages(e), "%s: %s", path, s) }
	return selection{e.part, e.hasPart, warn}
}

// choosePartition returns the device, or the partition of it, that is selected.
func choosePartition(dev aio.Device, want selection) (aio.Device, error) {
	whole := hasSuper(dev, 0)
	if want.given && want.number == 0 {
		return dev, nil
	}
	tables, err := parttable.Read(dev, aio.Describe(dev).SectorSize)
	if err != nil {
		return wholeDevice(dev, want, whole, err)
	}
	table := bestTable(dev, tables)
	if want.given {
		if p := table.Find(want.number); p != nil {
			return openPartition(dev, *p, want)
		}
		return nil, fmt.Errorf("partition %d: there is none; there are %s", want.number, listPartitions(dev, table.Partitions))
	}
	found := holders(dev, table)
	switch {
	case len(found) == 1:
		if whole {
			want.warn(fmt.Sprintf("the whole disk has an ext4 superblock too, older than the partition table as a rule: taking partition %d "+
				"(--partition 0 takes the whole disk)", found[0].Number))
		}
		return openPartition(dev, found[0], want)
	case len(found) > 1:
		return nil, fmt.Errorf("several partitions hold an ext4 file system, choose one with --partition N: %s", listPartitions(dev, found))
	case whole:
		return nil, fmt.Errorf("the whole disk has an ext4 superblock, but also a partition table without one in a partition; "+
			"--partition 0 takes the whole disk: %s", listPartitions(dev, table.Partitions))
	}
	return nil, fmt.Errorf("no partition holds an ext4 file system: %s", listPartitions(dev, table.Partitions))
}

// wholeDevice is the choice where no table could be read, for the reason why.
func wholeDevice(dev aio.Device, want selection, whole bool, why error) (aio.Device, error) {
	switch {
	case want.given:
		return nil, fmt.Errorf("partition %d: %w", want.number, why)
	case errors.Is(why, parttable.ErrDamaged) && whole:
		return nil, fmt.Errorf("the whole disk has an ext4 superblock, but also a partition table; --partition 0 takes the whole disk: %w", why)
	case errors.Is(why, parttable.ErrDamaged):
		return nil, why
	}
	return dev, nil // not ext4, perhaps: who opens it says so
}

// bestTable returns the first table with a file system in a partition, or the first.
func bestTable(dev aio.Device, tables []*parttable.Table) *parttable.Table {
	for _, t := range tables {
		if len(holders(dev, t)) > 0 {
			return t
		}
	}
	return tables[0]
}

// holders returns the partitions of a table that hold ext4.
func holders(dev aio.Device, t *parttable.Table) (found []parttable.Partition) {
	for _, p := range t.Partitions {
		if !p.Extended && hasSuper(dev, p.Start) {
			found = append(found, p)
		}
	}
	return found
}

// openPartition returns the partition as a device. Of one that reaches beyond the end of the disk it is what there is, as in the
// kernel: the file system in it may well fit.
func openPartition(dev aio.Device, p parttable.Partition, want selection) (aio.Device, error) {
	size := min(p.Size, dev.Size()-p.Start)
	switch {
	case p.Extended:
		return nil, fmt.Errorf("partition %d: is an extended partition, which holds the partitions from 5 on", p.Number)
	case size <= 0:
		return nil, fmt.Errorf("partition %d: begins at %d, the disk ends at %d", p.Number, p.Start, dev.Size())
	case size < p.Size:
		want.warn(fmt.Sprintf("partition %d reaches %d bytes beyond the end of the disk: it is cut there", p.Number, p.Size-size))
	}
	return aio.Section(dev, p.Start, size)
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

// maxListed bounds the partitions in an error message.
const maxListed = 16

// listPartitions is the list for an error message.
func listPartitions(dev aio.Device, parts []parttable.Partition) string {
	var lines []string
	for _, p := range parts[:min(len(parts), maxListed)] {
		what := ""
		switch {
		case p.Extended:
			what = ", extended"
		case p.Start >= dev.Size():
			what = ", beyond the end of the disk"
		case hasSuper(dev, p.Start):
			what = ", ext4"
		}
		lines = append(lines, fmt.Sprintf("%d (start %d, size %s%s)", p.Number, p.Start, sizes.Short(p.Size), what))
	}
	if more := len(parts) - maxListed; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, ", ")
}
