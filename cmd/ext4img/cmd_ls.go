package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

func lsCommand() *cli.Command {
	return &cli.Command{
		Name:        "ls",
		Usage:       "list directories",
		ArgsUsage:   "IMAGE [PATH...]",
		Description: example("", "ext4img ls -l disk.img /", "ext4img ls -R disk.img"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "long", Aliases: []string{"l"}, Usage: "mode, links, owner, size and time as well"},
			&cli.BoolFlag{Name: "recursive", Aliases: []string{"R"}, Usage: "directories below as well"},
			&cli.BoolFlag{Name: "inode", Aliases: []string{"i"}, Usage: "inode numbers as well"},
			&cli.BoolFlag{Name: "directory", Aliases: []string{"d"}, Usage: "directories themselves, not what is in them"},
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "ignored: all names are listed"},
			jsonFlag(),
		},
		Action: action(parseLs, ls),
	}
}

// lsOptions are the flags and arguments of ls.
type lsOptions struct {
	pathsOptions
	long, recursive, inode, directory, json bool
}

func parseLs(c *cli.Context) (o lsOptions, err error) {
	o.long, o.recursive, o.inode, o.directory = c.Bool("long"), c.Bool("recursive"), c.Bool("inode"), c.Bool("directory")
	o.json = c.Bool("json")
	if o.pathsOptions, err = parsePaths(c, 1); len(o.paths) == 0 {
		o.paths = []string{"/"}
	}
	return o, err
}

// brokenEntry is a name in JSON that leads to an inode that cannot be read.
type brokenEntry struct {
	Path  string `json:"path"`
	Name  string `json:"name"`
	Type  string `json:"type"` // as the directory says
	Inode uint32 `json:"inode"`
	Error string `json:"error"`
}

// lister lists directories. What cannot be read is named, and the rest is listed.
type lister struct {
	lsOptions
	colour bool

	ctx     context.Context
	fs      *ext4.FS
	out     io.Writer
	doc     *jsonWriter // nil: text
	fails   *failures
	heads   bool // print the directory's name above its list
	printed bool
}

func ls(e *env, o lsOptions) error {
	return withImage(e, o.image, reading, func(img *image) error {
		l := &lister{
			lsOptions: o, colour: colored(rawOutput(e)), ctx: e.ctx, fs: img.fs, out: rawOutput(e), fails: newFailures(e),
			heads: len(o.paths) > 1 || o.recursive,
		}
		l.doc = newJSONList(e, o.json)
		return l.fails.end(l.doc.ended(eachOf(o.paths, l.list)))
	})
}

// list lists a path: a directory's content, or the file itself.
func (l *lister) list(name string) error {
	in, info, err := l.look(name)
	switch {
	case err != nil:
		return l.fails.add(name, err)
	case !info.IsDir() || l.directory:
		return l.show(name, name, in, info)
	case !l.recursive:
		return l.dir(name, in)
	}
	w := ext4.Walk{
		Visit: func(v *ext4.Visit) error {
			if !v.Info.IsDir() {
				return nil
			}
			return l.dir(v.Path(), v.Inode)
		},
		Bad: func(v *ext4.Visit, err error) error {
			if !errors.As(err, new(*ext4.LoopError)) {
				return nil // it was named when its directory, or it, was listed
			}
			return l.fails.add(v.Path(), err)
		},
	}
	return w.Run(l.ctx, in, name)
}

// look finds what is to be listed for a path: what a symbolic link leads to if that is a directory, else the link itself.
func (l *lister) look(name string) (ext4.Inode, *ext4.FileInfo, error) {
	if !l.directory {
		if in, info, err := find(l.fs, name, true); err == nil && info.IsDir() {
			return in, info, nil
		}
	}
	return find(l.fs, name, false)
}

// dir lists a directory, and names what is wrong with it.
func (l *lister) dir(name string, dir ext4.Inode) error {
	if l.heads && l.doc == nil {
		if l.printed {
			printText(l.out, "\n")
		}
		printText(l.out, "%s:\n", name)
	}
	l.printed = true
	return dir.Entries(l.ctx, func(e ext4.DirEntry) error {
		in := l.fs.Inode(e.Ino)
		info, err := in.Stat(e.Name)
		if err != nil {
			return l.broken(path.Join(name, e.Name), e, reason(err))
		}
		return l.show(path.Join(name, e.Name), e.Name, in, info)
	}, func(err error) error { return l.fails.add(name, err) })
}

// show prints one file under the name shown.
func (l *lister) show(name, shown string, in ext4.Inode, info *ext4.FileInfo) error {
	var e fileEntry
	if l.long || l.doc != nil {
		var err error
		if e, err = newEntry(in, name, info); err != nil {
			if err := l.fails.add(name, err); err != nil {
				return err
			}
		}
	}
	if l.doc != nil {
		return l.doc.value(e)
	}
	if l.inode {
		printText(l.out, "%8d ", info.Stat().Ino)
	}
	if !l.long {
		return printText(l.out, "%s\n", l.paint(shown, info.Mode()))
	}
	size, arrow := fmt.Sprint(e.Size), ""
	if info.Mode()&fs.ModeDevice != 0 {
		size = fmt.Sprintf("%d, %d", info.Stat().Major, info.Stat().Minor)
	}
	if e.Target != "" {
		arrow = " -> "
	}
	return printText(l.out, "%s %4d %6d %6d %12s %s %s%s%s\n", modeString(info.Mode()), e.Links, e.UID, e.GID, size,
		e.Mtime.Local().Format("2006-01-02 15:04"), l.paint(shown, info.Mode()), arrow, e.Target)
}

// broken lists a name whose inode cannot be read, and says why.
func (l *lister) broken(name string, e ext4.DirEntry, why error) error {
	if err := l.fails.add(name, why); err != nil {
		return err
	}
	if l.doc != nil {
		return l.doc.value(brokenEntry{name, e.Name, typeName(e.Type), e.Ino, errorText(why)})
	}
	if l.inode {
		printText(l.out, "%8d ", e.Ino)
	}
	if l.long {
		printText(l.out, "%c????????? %4s %6s %6s %12s %16s ", typeLetter(e.Type), "?", "?", "?", "?", "?")
	}
	return printText(l.out, "%s\n", e.Name)
}

// paint colours a name by its type, on a terminal.
func (l *lister) paint(name string, m fs.FileMode) any {
	if !l.colour {
		return name
	}
	switch {
	case m.IsDir():
		return painted("1;34", name)
	case m&fs.ModeSymlink != 0:
		return painted("1;36", name)
	case m&(fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket) != 0:
		return painted("33", name)
	case m&0o111 != 0:
		return painted("1;32", name)
	}
	return name
}

// modeString is the mode as ls -l shows it.
func modeString(m fs.FileMode) string {
	b := []byte("-rwxrwxrwx")
	for i := range 9 {
		if m&(1<<(8-i)) == 0 {
			b[1+i] = '-'
		}
	}
	b[0] = typeLetter(m)
	for _, s := range []struct {
		bit fs.FileMode
		at  int
		on  string // with and without execution
	}{{fs.ModeSetuid, 3, "sS"}, {fs.ModeSetgid, 6, "sS"}, {fs.ModeSticky, 9, "tT"}} {
		if m&s.bit != 0 {
			k := 0
			if b[s.at] == '-' {
				k = 1
			}
			b[s.at] = s.on[k]
		}
	}
	return string(b)
}
