package main

import (
	"errors"
	"fmt"
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
	Extents   []extentRow `json:"extents"`

	nodes []ext4.Node
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

func extents(c *cli.Context) error {
	if err := need(c, 1, -1); err != nil {
		return err
	}
	return withImage(c, reading, func(img *image) error {
		all := c.Bool("all") || c.NArg() == 1
		paths, err := extentPaths(c, img.fs)
		if err != nil {
			return err
		}
		maps := []*fileMap{}
		for _, p := range paths {
			m, err := readMap(img.fs, p)
			if err != nil {
				return opError(c, p, err)
			}
			if c.Bool("holes") {
				m.addHoles()
			}
			maps = append(maps, m)
		}
		if file := c.String("svg"); file != "" {
			if err := os.WriteFile(file, drawSVG(maps), 0o644); err != nil {
				return err
			}
		}
		switch {
		case c.Bool("json"):
			return printJSON(c, maps)
		case all:
			printSummary(c, maps)
		default:
			for _, m := range maps {
				m.print(c)
			}
		}
		return nil
	})
}

// extentPaths are the files to show: those given, or every regular file, each inode once.
func extentPaths(c *cli.Context, f *ext4.FS) (paths []string, err error) {
	roots := c.Args().Tail()
	for i := range roots {
		if roots[i], err = inside(c, roots[i]); err != nil {
			return nil, err
		}
	}
	if !c.Bool("all") && len(roots) > 0 {
		return roots, nil
	}
	if len(roots) == 0 {
		roots = []string{"/"}
	}
	seen := map[uint32]bool{}
	for _, root := range roots {
		err := walkTree(f, root, func(name string, info *ext4.FileInfo, _ int) error {
			if err := c.Context.Err(); err != nil {
				return err
			}
			if ino := info.Stat().Ino; info.Mode().IsRegular() && !seen[ino] {
				seen[ino] = true
				paths = append(paths, name)
			}
			return nil
		})
		if err != nil {
			return nil, opError(c, root, err)
		}
	}
	return paths, nil
}

// readMap reads the block map of a regular file or a directory.
func readMap(f *ext4.FS, name string) (*fileMap, error) {
	file, err := f.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	m, err := mapOf(f, file, name)
	return m, errors.Join(err, file.Close())
}

func mapOf(f *ext4.FS, file *ext4.File, name string) (*fileMap, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	s := info.Sys().(*ext4.Stat)
	bs := int64(f.Geometry().BlockSize)
	m := &fileMap{Path: name, Inode: s.Ino, Size: s.Size, BlockSize: bs, Blocks: (s.Size + bs - 1) / bs, Extents: []extentRow{}}
	switch {
	case s.Flags&layout.FlagInlineData != 0:
		m.MappedBy = "inline"
		return m, nil
	case s.Flags&layout.FlagExtents == 0:
		m.MappedBy = "indirect"
	}
	err = file.Extents(func(e layout.Extent) bool {
		m.add(e)
		return true
	})
	if err != nil {
		return nil, err
	}
	err = file.Nodes(func(n ext4.Node) bool {
		m.nodes = append(m.nodes, n)
		m.Depth = max(m.Depth, n.Level)
		return true
	})
	return m, err
}

// add appends an extent. What a block-mapped file stores block by block is joined to the extents it amounts to.
func (m *fileMap) add(e layout.Extent) {
	row := extentRow{uint64(e.Lblk), uint64(e.Pblk), uint64(e.Len), written}
	if e.Unwritten {
		row.State = unwritten
	}
	if k := len(m.Extents); k > 0 && m.MappedBy == "indirect" {
		last := &m.Extents[k-1]
		if last.Logical+last.Length == row.Logical && last.Physical+last.Length == row.Physical {
			last.Length += row.Length
			return
		}
	}
	m.Extents = append(m.Extents, row)
}

// addHoles puts rows between the extents, up to the size.
func (m *fileMap) addHoles() {
	var out []extentRow
	next := uint64(0)
	for _, e := range m.Extents {
		if e.Logical > next {
			out = append(out, extentRow{Logical: next, Length: e.Logical - next, State: hole})
		}
		out = append(out, e)
		next = e.Logical + e.Length
	}
	if end := uint64(m.Blocks); end > next {
		out = append(out, extentRow{Logical: next, Length: end - next, State: hole})
	}
	m.Extents = out
}

// count is the number of extents, holes left out.
func (m *fileMap) count() (n int) {
	for _, e := range m.Extents {
		if e.State != hole {
			n++
		}
	}
	return n
}

// print shows one file as filefrag -v does.
func (m *fileMap) print(c *cli.Context) {
	say(c, "File size of %s is %d (%d blocks of %d bytes)\n", m.Path, m.Size, m.Blocks, m.BlockSize)
	if m.MappedBy != "" {
		say(c, "mapped by: %s\n", m.MappedBy)
	}
	if len(m.Extents) > 0 {
		say(c, " ext:     logical_offset:        physical_offset: length:   expected: flags:\n")
	}
	expected := uint64(0)
	for i, e := range m.Extents {
		say(c, "%4d: %8d..%8d: ", i, e.Logical, e.Logical+e.Length-1)
		if e.State == hole {
			say(c, "%10s..%10s: %6d: %10s: %s\n", "-", "-", e.Length, "", hole)
			continue
		}
		gap := ""
		if expected != 0 && e.Physical != expected {
			gap = fmt.Sprint(expected)
		}
		say(c, "%10d..%10d: %6d: %10s: %s\n", e.Physical, e.Physical+e.Length-1, e.Length, gap, strings.Join(m.flags(i), ","))
		expected = e.Physical + e.Length
	}
	if c.Bool("tree") {
		m.printTree(c)
	}
	if !c.Bool("verbose") && isTerminal(rawOutput(c)) {
		say(c, "%s\n", ours(m.line(terminalWidth(c)-2, colored(rawOutput(c)))))
	}
	say(c, "%s: %d extents found\n", m.Path, m.count())
}

// flags are those of filefrag.
func (m *fileMap) flags(i int) (flags []string) {
	e := m.Extents[i]
	if i == len(m.Extents)-1 {
		flags = append(flags, "last")
	}
	if e.State == unwritten {
		flags = append(flags, "unwritten")
	}
	if e.Logical+e.Length >= uint64(m.Blocks) {
		flags = append(flags, "eof")
	}
	return flags
}

// printTree draws the nodes of the map, each under its parent.
func (m *fileMap) printTree(c *cli.Context) {
	for _, n := range m.nodes {
		where := fmt.Sprintf("block %d", n.Block)
		if n.Block == 0 {
			where = "inode"
		}
		what := "index"
		if n.Depth == 0 {
			what = "leaf"
		}
		say(c, "%s%s in %s: %d of %d entries, from logical block %d\n", strings.Repeat("  ", n.Level+1), what, where, n.Entries, n.Max, n.First)
	}
}

// line is a map in one line: # written, o unwritten, . hole; where several meet in a cell, the first of them wins.
func (m *fileMap) line(width int, colour bool) string {
	cells := make([]byte, max(width, 10))
	end := uint64(max(m.Blocks, 1))
	if k := len(m.Extents); k > 0 {
		end = max(end, m.Extents[k-1].Logical+m.Extents[k-1].Length)
	}
	if end < uint64(len(cells)) {
		cells = cells[:end]
	}
	for i := range cells {
		cells[i] = '.'
	}
	n := uint64(len(cells))
	for _, e := range m.Extents {
		if e.State == hole {
			continue
		}
		first, last := e.Logical*n/end, (e.Logical+e.Length-1)*n/end
		for i := first; i <= last && i < n; i++ {
			if e.State == written {
				cells[i] = '#'
			} else if cells[i] == '.' {
				cells[i] = 'o'
			}
		}
	}
	if !colour {
		return "[" + string(cells) + "]"
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
	return "[" + b.String() + "]"
}

func terminalWidth(c *cli.Context) int {
	if f := file(rawOutput(c)); f != nil {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return 80
}

// printSummary is a line for each file.
func printSummary(c *cli.Context, maps []*fileMap) {
	say(c, "%10s %8s %12s %12s %12s  %s\n", "inode", "extents", "written", "unwritten", "size", "path")
	for _, m := range maps {
		var sum [2]uint64
		for _, e := range m.Extents {
			switch e.State {
			case written:
				sum[0] += e.Length
			case unwritten:
				sum[1] += e.Length
			}
		}
		say(c, "%10d %8d %12d %12d %12d  %s\n", m.Inode, m.count(), sum[0], sum[1], m.Size, m.Path)
	}
}
