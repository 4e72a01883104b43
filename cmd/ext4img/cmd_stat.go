package main

import (
	"fmt"
	"time"

	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

func statCommand() *cli.Command {
	return &cli.Command{
		Name:        "stat",
		Usage:       "show what an inode says of itself",
		ArgsUsage:   "IMAGE PATH...",
		Description: example("A symbolic link is shown itself; with -L, what it leads to.", "ext4img stat disk.img /etc/passwd"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dereference", Aliases: []string{"L"}, Usage: "follow symbolic links"},
			jsonFlag(),
		},
		Action: statFiles,
	}
}

// statEntry is the JSON of stat.
type statEntry struct {
	fileEntry
	Flags      []string   `json:"flags"`
	Generation uint32     `json:"generation"`
	Project    uint32     `json:"project"`
	Atime      time.Time  `json:"atime"`
	Ctime      time.Time  `json:"ctime"`
	Crtime     *time.Time `json:"crtime,omitempty"`
}

func statFiles(c *cli.Context) error {
	if err := need(c, 2, -1); err != nil {
		return err
	}
	paths, err := pathArgs(c)
	if err != nil {
		return err
	}
	return withImage(c, reading, func(img *image) error {
		fails := newFailures(c)
		list := newJSONList(c)
		err := eachOf(paths, func(p string) error {
			in, info, err := find(img.fs, p, c.Bool("dereference"))
			if err != nil {
				return fails.add(p, err)
			}
			e, err := newStatEntry(in, p, info)
			if list != nil {
				list.value(e)
			} else {
				e.print(c)
			}
			return fails.add(p, err)
		})
		return fails.end(list.ended(err))
	})
}

// newStatEntry describes an inode. The entry is good but for the target if that cannot be read.
func newStatEntry(in ext4.Inode, name string, info *ext4.FileInfo) (statEntry, error) {
	s := info.Stat()
	entry, err := newEntry(in, name, info)
	e := statEntry{
		fileEntry: entry, Flags: flagNames(s.Flags), Generation: s.Generation, Project: s.Project, Atime: s.Atime, Ctime: s.Ctime,
	}
	if !s.Crtime.IsZero() {
		e.Crtime = &s.Crtime
	}
	return e, err
}

func (e *statEntry) print(c *cli.Context) {
	say(c, "  File: %s", e.Path)
	if e.Target != "" {
		say(c, " -> %s", e.Target)
	}
	say(c, "\n")
	say(c, "  Size: %-15d Blocks: %-10d %s\n", e.Size, e.Blocks, e.Type)
	say(c, " Inode: %-15d Links: %-11d Generation: %d\n", e.Inode, e.Links, e.Generation)
	if e.Device != "" {
		say(c, "Device: %s\n", e.Device)
	}
	say(c, "Access: %-15s Uid: %-13d Gid: %d\n", e.Mode, e.UID, e.GID)
	say(c, " Flags: %s\n", orNone(fmt.Sprint(e.Flags)))
	for _, t := range []struct {
		label string
		t     time.Time
	}{{"Access", e.Atime}, {"Modify", e.Mtime}, {"Change", e.Ctime}} {
		say(c, "%s: %s\n", t.label, stamp(t.t))
	}
	if e.Crtime != nil {
		say(c, " Birth: %s\n", stamp(*e.Crtime))
	} else {
		say(c, " Birth: -\n")
	}
}

func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05.000000000 -0700") }
