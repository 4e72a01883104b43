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
		Action: action(parseStat, statFiles),
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

// statOptions are the flags and arguments of stat.
type statOptions struct {
	pathsOptions
	follow, json bool
}

func parseStat(c *cli.Context) (o statOptions, err error) {
	o.follow, o.json = c.Bool("dereference"), c.Bool("json")
	o.pathsOptions, err = parsePaths(c, 2)
	return o, err
}

func statFiles(e *env, o statOptions) error {
	return withImage(e, o.image, reading, func(img *image) error {
		fails := newFailures(e)
		list := newJSONList(e, o.json)
		err := eachOf(o.paths, func(p string) error {
			in, info, err := find(img.fs, p, o.follow)
			if err != nil {
				return fails.add(p, err)
			}
			entry, err := newStatEntry(in, p, info)
			if list != nil {
				list.value(entry)
			} else {
				entry.print(e)
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

func (s *statEntry) print(e *env) {
	say(e, "  File: %s", s.Path)
	if s.Target != "" {
		say(e, " -> %s", s.Target)
	}
	say(e, "\n")
	say(e, "  Size: %-15d Blocks: %-10d %s\n", s.Size, s.Blocks, s.Type)
	say(e, " Inode: %-15d Links: %-11d Generation: %d\n", s.Inode, s.Links, s.Generation)
	if s.Device != "" {
		say(e, "Device: %s\n", s.Device)
	}
	say(e, "Access: %-15s Uid: %-13d Gid: %d\n", s.Mode, s.UID, s.GID)
	say(e, " Flags: %s\n", orNone(fmt.Sprint(s.Flags)))
	for _, t := range []struct {
		label string
		t     time.Time
	}{{"Access", s.Atime}, {"Modify", s.Mtime}, {"Change", s.Ctime}} {
		say(e, "%s: %s\n", t.label, stamp(t.t))
	}
	if s.Crtime != nil {
		say(e, " Birth: %s\n", stamp(*s.Crtime))
	} else {
		say(e, " Birth: -\n")
	}
}

func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05.000000000 -0700") }
