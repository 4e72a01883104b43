package main

import (
	"context"
	"errors"
	"io/fs"
	"path"

	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

func rmCommand() *cli.Command {
	return &cli.Command{
		Name: "rm", Usage: "remove files", ArgsUsage: "IMAGE PATH...",
		Description: example("", "ext4img rm -r disk.img /tmp/build"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "recursive", Aliases: []string{"r", "R"}, Usage: "directories and all that is in them"},
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "no error for what does not exist"},
			&cli.BoolFlag{Name: "dir", Aliases: []string{"d"}, Usage: "empty directories as well"},
		},
		Action: func(c *cli.Context) error {
			if err := need(c, 2, -1); err != nil {
				return err
			}
			o := rmOptions{recursive: c.Bool("recursive"), force: c.Bool("force"), dir: c.Bool("dir")}
			return overPaths(c, c.Args().First(), c.Args().Tail(), func(f *ext4.FS, p string, fails *failures) error {
				return o.remove(c.Context, f, p, fails)
			})
		},
	}
}

// rmOptions are the flags of rm.
type rmOptions struct{ recursive, force, dir bool }

func (o rmOptions) remove(ctx context.Context, f *ext4.FS, p string, fails *failures) error {
	if path.Clean(p) == "/" {
		return errors.New("the root directory stays")
	}
	_, err := f.Lstat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist) && o.force:
		return nil
	case err != nil:
		return err
	case o.recursive:
		return f.RemoveTree(ctx, p, fails.add)
	case o.dir:
		return f.Remove(p)
	}
	return f.Unlink(p)
}
