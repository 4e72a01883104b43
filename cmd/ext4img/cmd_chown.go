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
		Action: func(c *cli.Context) error {
			if err := need(c, 3, -1); err != nil {
				return err
			}
			image, who, paths := operandFirst(c)
			uid, gid, err := parseOwner(who)
			if err != nil {
				return usagef(c, "%v", err)
			}
			if c.Bool("recursive") {
				return overTrees(c, image, paths, false, func(v *ext4.Visit) error { return v.Inode.Chown(uid, gid) })
			}
			chown := (*ext4.FS).Chown
			if c.Bool("no-dereference") {
				chown = (*ext4.FS).Lchown
			}
			return overPaths(c, image, paths, func(f *ext4.FS, p string, _ *failures) error { return chown(f, p, uid, gid) })
		},
	}
}
