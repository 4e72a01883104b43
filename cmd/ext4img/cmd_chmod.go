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
		Action:      action(parseChmod, chmod),
	}
}

// chmodOptions are the flags and arguments of chmod.
type chmodOptions struct {
	pathsOptions
	change    func(old uint16, dir bool) uint16 // makes the new mode of the old
	recursive bool
}

func parseChmod(c *cli.Context) (o chmodOptions, err error) {
	if err := need(c, 3, -1); err != nil {
		return o, err
	}
	image, mode, paths := operandFirst(c)
	if o.change, err = parseMode(mode); err != nil {
		return o, usagef(c, "%v", err)
	}
	o.image, o.recursive = image, c.Bool("recursive")
	o.paths, err = insides(c, paths)
	return o, err
}

func chmod(e *env, o chmodOptions) error {
	if o.recursive {
		return overTrees(e, o.pathsOptions, true, func(v *ext4.Visit) error {
			if v.Info.Mode()&fs.ModeSymlink != 0 {
				return nil
			}
			return v.Inode.Chmod(o.change(v.Info.Stat().Mode&0o7777, v.Info.IsDir()))
		})
	}
	return eachPath(e, o.pathsOptions, func(f *ext4.FS, p string) error {
		info, err := stat(f, p)
		if err != nil {
			return err
		}
		return f.Chmod(p, o.change(info.Stat().Mode&0o7777, info.IsDir()))
	})
}
