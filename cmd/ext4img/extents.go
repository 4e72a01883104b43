package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"ext4img/ext4"
	"ext4img/ext4/layout"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

func extentsCommand() *cli.Command {
	return &cli.Command{
		Name:      "extents",
		Usage:     "show the extents of files: written, unwritten, holes",
		ArgsUsage: "IMAGE [PATH...]",
		Description: example("The columns of filefrag -v, in file system blocks. Without PATH, or with --all, one line for every file.",
			"ext4img extents disk.img /data", "ext4img extents --holes --svg map.svg disk.img /data", "ext4img extents --all --json disk.img"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "no map, columns only"},
			&cli.BoolFlag{Name: "tree", Usage: "draw index and leaf blocks"},
			&cli.BoolFlag{Name: "all", Usage: "summarize every file"},
			&cli.BoolFlag{Name: "holes", Usage: "show holes as well"},
			&cli.StringFlag{Name: "svg", Usage: "draw the maps into `FILE`"},
			jsonFlag(),
		},
		Action: extents,
	}
}

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

// extentLister shows maps, one after the other: none is ever whole in memory. What cannot be read is named, and the rest is
// shown.
type extentLister struct {
	all, holes, tree, colour bool

	ctx   context.Context
	fs    *ext4.FS
	out   io.Writer
	width int // of a line with a map of the file; 0: no such line
	json  *jsonWriter
	svg   *svgDrawing
	fails *failures
	seen  inoSet
}

func extents(c *cli.Context) error {
	if err := need(c, 1, -1); err != nil {
		return err
	}
	paths, err := pathArgs(c)
	if err != nil {
		return err
	}
	return withImage(c, reading, func(img *image) error {
		l := &extentLister{
			all: c.Bool("all") || len(paths) == 0, holes: c.Bool("holes"), tree: c.Bool("tree"), colour: colored(rawOutput(c)),
			ctx: c.Context, fs: img.fs, out: rawOutput(c), fails: newFailures(c), seen: inoSet{},
		}
		if len(paths) == 0 {
			paths = []string{"/"}
		}
		if !c.Bool("verbose") && isTerminal(l.out) {
			l.width = terminalWidth(l.out) - 2
		}
		if file := c.String("svg"); file != "" {
			if l.svg, err = newSVG(file); err != nil {
				return err
			}
			defer l.svg.discard()
		}
		l.json = newJSONList(c)
		err := l.json.ended(l.list(paths))
		if err == nil && l.svg != nil {
			err = l.svg.finish()
		}
		return l.fails.end(err)
	})
}

func (l *extentLister) list(paths []string) error {
	if !l.all {
		return eachOf(paths, func(p string) error {
			in, err := l.fs.Find(p, true)
			if err != nil {
				return l.fails.add(p, err)
			}
			return l.fails.add(p, l.show(p, in))
		})
	}
	if l.json == nil {
		printText(l.out, "%10s %8s %12s %12s %12s  %s\n", "inode", "extents", "written", "unwritten", "size", "path")
	}
	return eachOf(paths, l.below)
}

// below shows every regular file below a path, each inode once.
func (l *extentLister) below(root string) error {
	top, err := l.fs.Find(root, false)
	if err != nil {
		return l.fails.add(root, err)
	}
	w := ext4.Walk{
		Visit: func(v *ext4.Visit) error {
			if !v.Info.Mode().IsRegular() || !l.seen.add(v.Inode.Ino()) {
				return nil
			}
			p := v.Path()
			return l.fails.add(p, l.show(p, v.Inode))
		},
		Bad: func(v *ext4.Visit, err error) error { return l.fails.add(v.Path(), err) },
	}
	return w.Run(l.ctx, top, root)
}

// show shows one regular file or directory.
func (l *extentLister) show(name string, in ext4.Inode) (err error) {
	file, err := in.Open(name, os.O_RDONLY)
	if err != nil {
		return reason(err)
	}
	defer func() {
		if e := file.Close(); err == nil {
			err = e
		}
	}()
	m, err := mapOf(l.fs, file, name)
	if err != nil {
		return reason(err)
	}
	if l.svg != nil {
		if err := l.svg.add(m, l.holes); err != nil {
			return reason(err)
		}
	}
	switch {
	case l.json != nil:
		return reason(m.writeJSON(l.json, l.holes))
	case l.all:
		return printText(l.out, "%10d %8d %12d %12d %12d  %s\n", m.Inode, m.rows, m.written, m.unwritten, m.Size, name)
	}
	return reason(l.print(m))
}

// mapOf reads what there is to say of a map before its rows. The file stays the caller's.
func mapOf(f *ext4.FS, file *ext4.File, name string) (*fileMap, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	s := info.Sys().(*ext4.Stat)
	bs := int64(f.Geometry().BlockSize)
	m := &fileMap{Path: name, Inode: s.Ino, Size: s.Size, BlockSize: bs, Blocks: (s.Size + bs - 1) / bs, file: file}
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

// print shows one file as filefrag -v does.
func (l *extentLister) print(m *fileMap) error {
	printText(l.out, "File size of %s is %d (%d blocks of %d bytes)\n", m.Path, m.Size, m.Blocks, m.BlockSize)
	if m.MappedBy != "" {
		printText(l.out, "mapped by: %s\n", m.MappedBy)
	}
	if m.rows > 0 || l.holes && m.Blocks > 0 && m.file != nil {
		printText(l.out, " ext:     logical_offset:        physical_offset: length:   expected: flags:\n")
	}
	i, expected := 0, uint64(0)
	err := m.each(l.holes, func(e extentRow, last bool) error {
		printText(l.out, "%4d: %8d..%8d: ", i, e.Logical, e.Logical+e.Length-1)
		i++
		if e.State == hole {
			return printText(l.out, "%10s..%10s: %6d: %10s: %s\n", "-", "-", e.Length, "", hole)
		}
		gap := ""
		if expected != 0 && e.Physical != expected {
			gap = fmt.Sprint(expected)
		}
		expected = e.Physical + e.Length
		return printText(l.out, "%10d..%10d: %6d: %10s: %s\n", e.Physical, e.Physical+e.Length-1, e.Length, gap, m.flags(e, last))
	})
	if err == nil && l.tree {
		err = m.printTree(l.out)
	}
	if err == nil && l.width > 0 {
		var line string
		if line, err = m.line(l.width, l.colour); err == nil {
			printText(l.out, "%s\n", ours(line))
		}
	}
	if err != nil {
		return err
	}
	return printText(l.out, "%s: %d extents found\n", m.Path, m.rows)
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

func terminalWidth(out io.Writer) int {
	if f := file(out); f != nil {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return 80
}
