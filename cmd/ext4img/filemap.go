package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"ext4img/ext4"
	"ext4img/ext4/layout"
)

// fileMap is the block map of one file, and its JSON.
type fileMap struct {
	Path      string      `json:"path"`
	Inode     uint32      `json:"inode"`
	Size      int64       `json:"size"`
	BlockSize int64       `json:"block_size"`
	Blocks    int64       `json:"blocks"` // file system blocks up to the size
	Depth     int         `json:"depth"`
	MappedBy  string      `json:"mapped_by,omitempty"`
	Extents   []extentRow `json:"extents"` // as written; in memory the map goes by, row by row

	file      *ext4.File
	rows      int    // without holes
	end       uint64 // logical block after the last one
	written   uint64 // blocks
	unwritten uint64 // blocks
}

// extentRow is one extent. A hole has no physical block.
type extentRow struct {
	Logical  uint64 `json:"logical"`
	Physical uint64 `json:"physical"`
	Length   uint64 `json:"length"`
	State    string `json:"state"`
}

// The states of an extent.
const (
	written   = "written"
	unwritten = "unwritten"
	hole      = "hole"
)

// mapOf reads what there is to say of a map before its rows. The file stays the caller's.
func mapOf(f *ext4.FS, file *ext4.File, name string) (*fileMap, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	s := info.Sys().(*ext4.Stat)
	bs := int64(f.Geometry().BlockSize)
	m := &fileMap{Path: name, Inode: s.Ino, Size: s.Size, BlockSize: bs, Blocks: s.Size/bs + min(s.Size%bs, 1), file: file}
	switch {
	case s.Flags&layout.FlagInlineData != 0:
		m.MappedBy, m.file = "inline", nil
		return m, nil
	case s.Flags&layout.FlagExtents == 0:
		m.MappedBy = "indirect"
	}
	err = m.each(false, func(r extentRow, _ bool) error {
		m.rows++
		m.end = r.Logical + r.Length
		if r.State == written {
			m.written += r.Length
		} else {
			m.unwritten += r.Length
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = file.Nodes(func(n ext4.Node) bool {
		m.Depth = max(m.Depth, n.Level)
		return true
	})
	return m, err
}

// each calls fn with each row of the map; last tells that none follows. Holes are rows if they are wanted. What a
// block-mapped file stores block by block is joined to the extents it amounts to.
func (m *fileMap) each(holes bool, fn func(r extentRow, last bool) error) error {
	s := rowStream{fn: fn, holes: holes, join: m.MappedBy == "indirect"}
	if m.file != nil {
		err := m.file.Extents(func(e layout.Extent) bool {
			row := extentRow{uint64(e.Lblk), uint64(e.Pblk), uint64(e.Len), written}
			if e.Unwritten {
				row.State = unwritten
			}
			s.extent(row)
			return s.err == nil
		})
		if err = cmp.Or(s.err, err); err != nil {
			return err
		}
		s.end(uint64(m.Blocks))
	}
	return s.err
}

// rowStream makes rows of extents: it joins them, puts holes between them, and holds the last row back until it is known
// whether another follows. A row of no length is none.
type rowStream struct {
	fn          func(r extentRow, last bool) error
	holes, join bool
	joined      extentRow // may still grow
	held        extentRow
	next        uint64 // logical block after the rows so far
	err         error
}

func (s *rowStream) extent(r extentRow) {
	if j := &s.joined; s.join && j.Length > 0 && j.Logical+j.Length == r.Logical && j.Physical+j.Length == r.Physical {
		j.Length += r.Length
		return
	}
	s.complete()
	s.joined = r
}

// complete hands the joined row on.
func (s *rowStream) complete() {
	if s.joined.Length == 0 {
		return
	}
	s.hole(s.joined.Logical)
	s.put(s.joined)
	s.next = s.joined.Logical + s.joined.Length
}

// hole puts a row up to a logical block.
func (s *rowStream) hole(end uint64) {
	if s.holes && end > s.next {
		s.put(extentRow{Logical: s.next, Length: end - s.next, State: hole})
	}
}

func (s *rowStream) put(r extentRow) {
	if s.held.Length > 0 && s.err == nil {
		s.err = s.fn(s.held, false)
	}
	s.held = r
}

// end is called when there are no more extents, with the blocks of the file.
func (s *rowStream) end(blocks uint64) {
	s.complete()
	s.hole(blocks)
	if s.held.Length > 0 && s.err == nil {
		s.err = s.fn(s.held, true)
	}
}

// writeJSON writes the map. Should it turn out unreadable on the way, its rows end there.
func (m *fileMap) writeJSON(j *jsonWriter, holes bool) error {
	j.object()
	j.field("path", m.Path)
	j.field("inode", m.Inode)
	j.field("size", m.Size)
	j.field("block_size", m.BlockSize)
	j.field("blocks", m.Blocks)
	j.field("depth", m.Depth)
	if m.MappedBy != "" {
		j.field("mapped_by", m.MappedBy)
	}
	j.key("extents")
	j.array()
	err := m.each(holes, func(r extentRow, _ bool) error { return j.value(r) })
	j.end()
	j.end()
	return err
}

// flags are those of filefrag.
func (m *fileMap) flags(e extentRow, last bool) string {
	var flags []string
	if last {
		flags = append(flags, "last")
	}
	if e.State == unwritten {
		flags = append(flags, "unwritten")
	}
	if e.Logical+e.Length >= uint64(m.Blocks) {
		flags = append(flags, "eof")
	}
	return strings.Join(flags, ",")
}

// printTree draws the nodes of the map, each under its parent.
func (m *fileMap) printTree(out io.Writer) (err error) {
	if m.file == nil {
		return nil
	}
	e := m.file.Nodes(func(n ext4.Node) bool {
		where := fmt.Sprintf("block %d", n.Block)
		if n.Block == 0 {
			where = "inode"
		}
		what := "index"
		if n.Depth == 0 {
			what = "leaf"
		}
		err = printText(out, "%s%s in %s: %d of %d entries, from logical block %d\n", strings.Repeat("  ", n.Level+1), what, where, n.Entries, n.Max, n.First)
		return err == nil
	})
	return cmp.Or(err, e)
}

// line is a map in one line: # written, o unwritten, . hole; where several meet in a cell, the first of them wins.
func (m *fileMap) line(width int, colour bool) (string, error) {
	cells := make([]byte, max(width, 10))
	end := max(uint64(max(m.Blocks, 1)), m.end)
	if end < uint64(len(cells)) {
		cells = cells[:end]
	}
	for i := range cells {
		cells[i] = '.'
	}
	n := uint64(len(cells))
	err := m.each(false, func(e extentRow, _ bool) error {
		first, last := e.Logical*n/end, (e.Logical+e.Length-1)*n/end
		for i := first; i <= last && i < n; i++ {
			if e.State == written {
				cells[i] = '#'
			} else if cells[i] == '.' {
				cells[i] = 'o'
			}
		}
		return nil
	})
	if !colour {
		return "[" + string(cells) + "]", err
	}
	var b strings.Builder
	for i := 0; i < len(cells); {
		run := i
		for i < len(cells) && cells[i] == cells[run] {
			i++
		}
		switch cells[run] {
		case '#':
			b.WriteString("\x1b[32m" + strings.Repeat("█", i-run) + "\x1b[0m")
		case 'o':
			b.WriteString("\x1b[33m" + strings.Repeat("▒", i-run) + "\x1b[0m")
		default:
			b.WriteString(strings.Repeat("·", i-run))
		}
	}
	return "[" + b.String() + "]", err
}
