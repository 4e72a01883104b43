package main

import (
	"encoding/binary"
	"fmt"
	"strings"

	"ext4img/aio"
	"ext4img/ext4"
	"ext4img/ext4/layout"
	"ext4img/journal"

	"github.com/urfave/cli/v2"
)

// logInfo is the JSON of journal show.
type logInfo struct {
	Version   int        `json:"version"`
	BlockSize int        `json:"block_size"`
	Blocks    uint32     `json:"blocks"`
	Start     uint32     `json:"start"` // 0: the log is empty
	Sequence  uint32     `json:"sequence"`
	Features  uint32     `json:"features"`
	Fast      uint32     `json:"fast_commit_blocks"`
	Errno     int32      `json:"errno"`
	Entries   []logEntry `json:"entries"`
}

type logEntry struct {
	Kind    string   `json:"kind"`
	Block   uint32   `json:"block"`
	TID     uint32   `json:"tid"`
	SumOK   bool     `json:"checksum_good"`
	Tags    []logTag `json:"tags,omitempty"`
	Revoked []uint64 `json:"revoked,omitempty"`
	Text    string   `json:"text,omitempty"`
}

type logTag struct {
	Home  uint64 `json:"home"`
	Log   uint32 `json:"log"`
	SumOK bool   `json:"checksum_good"`
}

func journalShow(c *cli.Context) error {
	if err := need(c, 1, 1); err != nil {
		return err
	}
	return withDumper(c, "journal show", c.Args().First(), func(d *dumper) error {
		log, err := openLog(c, reading)
		if err != nil {
			return err
		}
		defer closeLog(log)
		area, err := d.logArea(log)
		if err != nil {
			return err
		}
		i, err := journal.ReadInfo(d.dev, *area)
		if err != nil {
			return err
		}
		info := logInfo{
			Version: i.Version, BlockSize: i.BlockSize, Blocks: i.Blocks, Start: i.Start, Sequence: uint32(i.Sequence),
			Features: uint32(i.Features), Fast: i.FastBlocks, Errno: i.Errno, Entries: []logEntry{},
		}
		if !c.Bool("json") {
			info.print(c)
		}
		err = journal.Show(d.dev, *area, func(e journal.Entry) error {
			if err := c.Context.Err(); err != nil {
				return err
			}
			entry := newLogEntry(e)
			if c.Bool("json") {
				info.Entries = append(info.Entries, entry)
			} else {
				entry.print(c)
			}
			return nil
		})
		if err == nil && c.Bool("json") {
			err = printJSON(c, info)
		}
		return err
	})
}

func (i *logInfo) print(c *cli.Context) {
	state := fmt.Sprintf("starts at block %d", i.Start)
	if i.Start == 0 {
		state = "empty"
	}
	say(c, "journal version %d, %d blocks of %d bytes, features 0x%x, %d for fast commits, next transaction %d, %s\n",
		i.Version, i.Blocks, i.BlockSize, i.Features, i.Fast, i.Sequence, state)
	if i.Errno != 0 {
		say(c, "s_errno %d\n", i.Errno)
	}
}

func newLogEntry(e journal.Entry) logEntry {
	l := logEntry{Block: e.Block, TID: uint32(e.TID), SumOK: e.SumOK, Revoked: e.Revoked}
	for _, t := range e.Tags {
		l.Tags = append(l.Tags, logTag{t.Block, t.Log, t.SumOK})
	}
	switch e.Kind {
	case journal.KindDescriptor:
		l.Kind = "descriptor"
		l.Text = fmt.Sprintf("%d blocks", len(e.Tags))
	case journal.KindCommit:
		l.Kind, l.Text = "commit", stamp(e.Time)
	case journal.KindRevoke:
		l.Kind, l.Text = "revoke", fmt.Sprintf("%d blocks", len(e.Revoked))
	case journal.KindFast:
		l.Kind, l.Text = "fast", fastText(e.Record)
	default:
		l.Kind = "end"
		l.Text = "no block of the log"
		if e.Magic {
			l.Text = fmt.Sprintf("a block of type %d of transaction %d", e.FoundType, e.Found)
		}
	}
	return l
}

// fastText is a fast commit record in words: the bytes of an inode left out.
func fastText(r journal.FastRecord) string {
	if in, ok := r.(journal.FastInode); ok {
		return fmt.Sprintf("Inode {Ino:%d Raw:%d bytes}", in.Ino, len(in.Raw))
	}
	return strings.TrimPrefix(fmt.Sprintf("%T %+v", r, r), "journal.Fast")
}

func (l *logEntry) print(c *cli.Context) {
	bad := ""
	if !l.SumOK {
		bad = ", wrong checksum"
	}
	say(c, "block %6d  transaction %6d  %-10s %s%s\n", l.Block, l.TID, l.Kind, l.Text, bad)
	if !c.Bool("tags") {
		return
	}
	for _, t := range l.Tags {
		bad := ""
		if !t.SumOK {
			bad = "  wrong checksum"
		}
		say(c, "        block %d: home %d%s\n", t.Log, t.Home, bad)
	}
	for _, b := range l.Revoked {
		say(c, "        home %d\n", b)
	}
}

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
