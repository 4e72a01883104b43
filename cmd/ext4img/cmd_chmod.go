package main

import (
	"io/fs"

	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

func chmodCommand() *cli.Command {
	return &cli.Command{
		Name: "chmod", Usage: "change permissions", ArgsUsage: "IMAGE MODE PATH...",
		Description: example("MODE is octal, or symbolic as in chmod(1).", "ext4img chmod disk.img 640 /etc/shadow", "ext4img chmod disk.img u+x,go-w /bin/tool"),
		Flags:       []cli.Flag{recursiveFlag()},
		Action: func(c *cli.Context) error {
			if err := need(c, 3, -1); err != nil {
				return err
			}
			image, mode, paths := operandFirst(c)
			change, err := parseMode(mode)
			if err != nil {
				return usagef(c, "%v", err)
			}
			if c.Bool("recursive") {
				return overTrees(c, image, paths, true, func(v *ext4.Visit) error {
					if v.Info.Mode()&fs.ModeSymlink != 0 {
						return nil
					}
					return v.Inode.Chmod(change(v.Info.Stat().Mode&0o7777, v.Info.IsDir()))
				})
			}
			return overPaths(c, image, paths, func(f *ext4.FS, p string, _ *failures) error {
				info, err := stat(f, p)
				if err != nil {
					return err
				}
				return f.Chmod(p, change(info.Stat().Mode&0o7777, info.IsDir()))
			})
		},
	}
}
