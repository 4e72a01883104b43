package main

import (
	"encoding/binary"
	"fmt"

	"ext4img/aio"
	"ext4img/ext4"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// logArea finds the log: on a device of its own, or in the blocks of the journal inode, as they are on the device.
func (d *dumper) logArea(log aio.Device) (*journal.Area, error) {
	ino := layout.Ino(d.sb.JournalInum())
	if d.sb.FeatureCompat()&layout.CompatHasJournal == 0 {
		return nil, fmt.Errorf("no journal")
	}
	if ino == 0 {
		return ext4.ExternalLog(d.sb, log)
	}
	if !d.geo.ValidIno(ino) {
		return nil, layout.Corruptf("journal: inode %d of %d", ino, d.geo.Inodes)
	}
	in, _, _, err := d.readInode(ino)
	if err != nil {
		return nil, err
	}
	m := &logMap{d: d, left: in.Size() / uint64(d.geo.BlockSize)}
	if in.HasFlag(layout.FlagExtents) {
		err = m.extents(in.Block())
	} else {
		err = m.blocks(in.Block())
	}
	if err == nil && m.left > 0 {
		err = layout.Corruptf("journal: inode %d: %d blocks have no place", ino, m.left)
	}
	return &journal.Area{BlockSize: d.geo.BlockSize, Blocks: m.runs}, err
}

// logMap collects the blocks of a file without holes.
type logMap struct {
	d    *dumper
	runs []journal.Run
	left uint64 // blocks to come: bounds the walk
}

func (m *logMap) add(p layout.Pblk, n uint64) {
	n = min(n, m.left)
	m.left -= n
	if k := len(m.runs); k > 0 && m.runs[k-1].Phys+uint64(m.runs[k-1].Len) == uint64(p) {
		m.runs[k-1].Len += uint32(n)
		return
	}
	m.runs = append(m.runs, journal.Run{Phys: uint64(p), Len: uint32(n)})
}

func (m *logMap) extents(p []byte) error {
	n, err := layout.ParseExtentNode(p)
	if err != nil {
		return err
	}
	for i := range n.Entries() {
		if m.left == 0 {
			return nil
		}
		if n.Depth() == 0 {
			e := n.Extent(i)
			m.add(e.Pblk, uint64(e.Len))
			continue
		}
		child, err := m.d.readBlock(n.Index(i).Child, 0, m.d.geo.BlockSize)
		if err != nil {
			return err
		}
		if c, err := layout.ParseExtentNode(child); err != nil || c.Depth() != n.Depth()-1 {
			return layout.Corruptf("journal: extent node in block %d", n.Index(i).Child)
		}
		if err := m.extents(child); err != nil {
			return err
		}
	}
	return nil
}

// blocks walks i_block of an inode without extents: twelve blocks, then one block of numbers, of blocks of them, and so on.
func (m *logMap) blocks(p []byte) error {
	for i := range 15 {
		if err := m.indirect(layout.Pblk(binary.LittleEndian.Uint32(p[4*i:])), max(i-11, 0)); err != nil {
			return err
		}
	}
	return nil
}

func (m *logMap) indirect(b layout.Pblk, level int) error {
	if m.left == 0 {
		return nil
	}
	if b == 0 {
		return layout.Corruptf("journal: a hole in the log")
	}
	if level == 0 {
		m.add(b, 1)
		return nil
	}
	p, err := m.d.readBlock(b, 0, m.d.geo.BlockSize)
	for i := 0; i < len(p) && err == nil; i += 4 {
		err = m.indirect(layout.Pblk(binary.LittleEndian.Uint32(p[i:])), level-1)
	}
	return err
}
