package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"ext4img/ext4"

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
		Action: action(parseExtents, extents),
	}
}

// extentsOptions are the flags and arguments of extents.
type extentsOptions struct {
	pathsOptions
	verbose, tree, all, holes, json bool
	svg                             string // file to draw into; "": none
}

func parseExtents(c *cli.Context) (o extentsOptions, err error) {
	o.verbose, o.tree, o.all, o.holes = c.Bool("verbose"), c.Bool("tree"), c.Bool("all"), c.Bool("holes")
	o.svg, o.json = c.String("svg"), c.Bool("json")
	if o.pathsOptions, err = parsePaths(c, 1); len(o.paths) == 0 {
		o.all, o.paths = true, []string{"/"}
	}
	return o, err
}

// extentLister shows maps, one after the other: none is ever whole in memory. What cannot be read is named, and the rest is
// shown.
type extentLister struct {
	extentsOptions
	colour bool

	ctx   context.Context
	fs    *ext4.FS
	out   io.Writer
	width int         // of a line with a map of the file; 0: no such line
	doc   *jsonWriter // nil: text
	draw  *svgDrawing // nil: none
	fails *failures
	seen  inoSet
}

func extents(e *env, o extentsOptions) error {
	return withImage(e, o.image, reading, func(img *image) (err error) {
		l := &extentLister{
			extentsOptions: o, colour: colored(rawOutput(e)),
			ctx: e.ctx, fs: img.fs, out: rawOutput(e), fails: newFailures(e), seen: inoSet{},
		}
		if !o.verbose && isTerminal(l.out) {
			l.width = terminalWidth(l.out) - 2
		}
		if o.svg != "" {
			if l.draw, err = newSVG(o.svg); err != nil {
				return err
			}
			defer l.draw.discard()
		}
		l.doc = newJSONList(e, o.json)
		err = l.doc.ended(l.list(o.paths))
		if err == nil && l.draw != nil {
			err = l.draw.finish()
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
	if l.doc == nil {
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
	if l.draw != nil {
		if err := l.draw.add(m, l.holes); err != nil {
			return reason(err)
		}
	}
	switch {
	case l.doc != nil:
		return reason(m.writeJSON(l.doc, l.holes))
	case l.all:
		return printText(l.out, "%10d %8d %12d %12d %12d  %s\n", m.Inode, m.rows, m.written, m.unwritten, m.Size, name)
	}
	return reason(l.print(m))
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

func terminalWidth(out io.Writer) int {
	if f := file(out); f != nil {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return 80
}
