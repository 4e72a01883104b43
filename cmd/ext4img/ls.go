package main

import (
	"fmt"
	"io/fs"
	"path"
	"time"

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
		Action: ls,
	}
}

// fileEntry is one file in JSON.
type fileEntry struct {
	Path   string    `json:"path"`
	Name   string    `json:"name"`
	Type   string    `json:"type"`
	Inode  uint32    `json:"inode"`
	Mode   string    `json:"mode"` // octal
	Links  uint16    `json:"links"`
	UID    uint32    `json:"uid"`
	GID    uint32    `json:"gid"`
	Size   int64     `json:"size"`
	Blocks uint64    `json:"blocks"` // of 512 bytes
	Mtime  time.Time `json:"mtime"`
	Target string    `json:"target,omitempty"` // of a symbolic link
	Device string    `json:"device,omitempty"` // major:minor
}

func newEntry(f *ext4.FS, name string, info *ext4.FileInfo) fileEntry {
	s := info.Stat()
	e := fileEntry{
		Path: name, Name: info.Name(), Type: typeName(info.Mode()), Inode: s.Ino, Mode: fmt.Sprintf("%04o", s.Mode&0o7777),
		Links: s.Links, UID: s.UID, GID: s.GID, Size: s.Size, Blocks: s.Blocks, Mtime: s.Mtime,
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		e.Target, _ = f.Readlink(name)
	case info.Mode()&fs.ModeDevice != 0:
		e.Device = fmt.Sprintf("%d:%d", s.Major, s.Minor)
	}
	return e
}

// lister prints, or collects for JSON.
type lister struct {
	c       *cli.Context
	fs      *ext4.FS
	entries []fileEntry
	heads   bool // print the directory's name above its list
	printed bool
}

func ls(c *cli.Context) error {
	if err := need(c, 1, -1); err != nil {
		return err
	}
	return withImage(c, reading, func(img *image) error {
		paths := c.Args().Tail()
		if len(paths) == 0 {
			paths = []string{"/"}
		}
		l := &lister{c: c, fs: img.fs, heads: len(paths) > 1 || c.Bool("recursive"), entries: []fileEntry{}}
		for _, arg := range paths {
			p, err := inside(c, arg)
			if err != nil {
				return err
			}
			if err := l.list(p); err != nil {
				return opError(c, p, err)
			}
		}
		if c.Bool("json") {
			return printJSON(c, l.entries)
		}
		return nil
	})
}

// list lists a path: a directory's content, or the file itself.
func (l *lister) list(name string) error {
	info, err := stat(l.fs, name)
	if err != nil {
		info, err = lstat(l.fs, name) // a symbolic link that leads nowhere
	}
	if err != nil {
		return err
	}
	if !info.IsDir() || l.c.Bool("directory") {
		if info, err = lstat(l.fs, name); err != nil {
			return err
		}
		return l.show(name, name, info)
	}
	return l.dir(name)
}

func (l *lister) dir(name string) error {
	if l.heads && !l.c.Bool("json") {
		if l.printed {
			say(l.c, "\n")
		}
		say(l.c, "%s:\n", name)
	}
	l.printed = true
	entries, err := l.fs.ReadDir(name)
	if err != nil {
		return err
	}
	var below []string
	for _, e := range entries {
		child := path.Join(name, e.Name())
		info, err := lstat(l.fs, child)
		if err != nil {
			return err
		}
		if err := l.show(child, e.Name(), info); err != nil {
			return err
		}
		if info.IsDir() {
			below = append(below, child)
		}
	}
	if !l.c.Bool("recursive") {
		return nil
	}
	for _, child := range below {
		if len(child) > maxDepth {
			return &fs.PathError{Op: "ls", Path: child[:64] + "…", Err: ext4.ErrCorrupt}
		}
		if err := l.dir(child); err != nil {
			return err
		}
	}
	return nil
}

// show prints one file under the name shown.
func (l *lister) show(name, shown string, info *ext4.FileInfo) error {
	if l.c.Bool("json") {
		l.entries = append(l.entries, newEntry(l.fs, name, info))
		return nil
	}
	if l.c.Bool("inode") {
		say(l.c, "%8d ", info.Stat().Ino)
	}
	if !l.c.Bool("long") {
		say(l.c, "%s\n", l.paint(shown, info.Mode()))
		return nil
	}
	s := info.Stat()
	size := fmt.Sprint(s.Size)
	if info.Mode()&fs.ModeDevice != 0 {
		size = fmt.Sprintf("%d, %d", s.Major, s.Minor)
	}
	arrow, target := "", ""
	if info.Mode()&fs.ModeSymlink != 0 {
		t, err := l.fs.Readlink(name)
		if err != nil {
			return err
		}
		arrow, target = " -> ", t
	}
	say(l.c, "%s %4d %6d %6d %12s %s %s%s%s\n", modeString(info.Mode()), s.Links, s.UID, s.GID, size,
		s.Mtime.Local().Format("2006-01-02 15:04"), l.paint(shown, info.Mode()), arrow, target)
	return nil
}

// paint colours a name by its type, on a terminal.
func (l *lister) paint(name string, m fs.FileMode) any {
	if !colored(rawOutput(l.c)) {
		return name
	}
	colour := ""
	switch {
	case m.IsDir():
		colour = "1;34"
	case m&fs.ModeSymlink != 0:
		colour = "1;36"
	case m&(fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket) != 0:
		colour = "33"
	case m&0o111 != 0:
		colour = "1;32"
	default:
		return name
	}
	return painted(colour, name)
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

func typeLetter(m fs.FileMode) byte {
	switch {
	case m.IsDir():
		return 'd'
	case m&fs.ModeSymlink != 0:
		return 'l'
	case m&fs.ModeCharDevice != 0:
		return 'c'
	case m&fs.ModeDevice != 0:
		return 'b'
	case m&fs.ModeNamedPipe != 0:
		return 'p'
	case m&fs.ModeSocket != 0:
		return 's'
	case m&fs.ModeIrregular != 0:
		return '?'
	}
	return '-'
}

func typeName(m fs.FileMode) string {
	switch typeLetter(m) {
	case 'd':
		return "directory"
	case 'l':
		return "symlink"
	case 'c':
		return "character device"
	case 'b':
		return "block device"
	case 'p':
		return "fifo"
	case 's':
		return "socket"
	case '?':
		return "unknown"
	}
	return "regular file"
}
