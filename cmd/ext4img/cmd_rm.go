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
		Action: action(parseRm, rm),
	}
}

// rmOptions are the flags and arguments of rm.
type rmOptions struct {
	pathsOptions
	recursive, force, dir bool
}

func parseRm(c *cli.Context) (o rmOptions, err error) {
	o = rmOptions{recursive: c.Bool("recursive"), force: c.Bool("force"), dir: c.Bool("dir")}
	o.pathsOptions, err = parsePaths(c, 2)
	return o, err
}

func rm(e *env, o rmOptions) error {
	return overPaths(e, o.pathsOptions, func(f *ext4.FS, p string, fails *failures) error { return o.remove(e.ctx, f, p, fails) })
}

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
