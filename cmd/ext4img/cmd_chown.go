package main

import (
	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

func chownCommand() *cli.Command {
	return &cli.Command{
		Name: "chown", Usage: "change owner and group", ArgsUsage: "IMAGE UID[:GID] PATH...",
		Description: example("Numbers, and root: other names belong to the system inside the image.", "ext4img chown disk.img 1000:1000 /home/me"),
		Flags: []cli.Flag{recursiveFlag(),
			&cli.BoolFlag{Name: "no-dereference", Aliases: []string{"h"}, Usage: "a symbolic link itself"}},
		Action: action(parseChown, chown),
	}
}

// chownOptions are the flags and arguments of chown.
type chownOptions struct {
	pathsOptions
	uid, gid        int // -1: stays
	recursive, link bool
}

func parseChown(c *cli.Context) (o chownOptions, err error) {
	if err := need(c, 3, -1); err != nil {
		return o, err
	}
	image, who, paths := operandFirst(c)
	if o.uid, o.gid, err = parseOwner(who); err != nil {
		return o, usagef(c, "%v", err)
	}
	o.image, o.recursive, o.link = image, c.Bool("recursive"), c.Bool("no-dereference")
	o.paths, err = insides(c, paths)
	return o, err
}

func chown(e *env, o chownOptions) error {
	if o.recursive {
		return overTrees(e, o.pathsOptions, false, func(v *ext4.Visit) error { return v.Inode.Chown(o.uid, o.gid) })
	}
	set := (*ext4.FS).Chown
	if o.link {
		set = (*ext4.FS).Lchown
	}
	return eachPath(e, o.pathsOptions, func(f *ext4.FS, p string) error { return set(f, p, o.uid, o.gid) })
}
