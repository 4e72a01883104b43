package main

import (
	"context"
	"strings"

	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

// eachPath runs fn for each PATH in an image open for writing.
func eachPath(c *cli.Context, fn func(f *ext4.FS, p string) error) error {
	if err := need(c, 2, -1); err != nil {
		return err
	}
	return overPaths(c, c.Args().First(), c.Args().Tail(), func(f *ext4.FS, p string, _ *failures) error { return fn(f, p) })
}

// overPaths runs fn for each path in an image open for writing. What fails is named, and the rest goes on.
func overPaths(c *cli.Context, imagePath string, args []string, fn func(f *ext4.FS, p string, fails *failures) error) error {
	for _, a := range args {
		if _, err := inside(c, a); err != nil {
			return err
		}
	}
	return withImageAt(c, imagePath, writing, func(img *image) error {
		fails := newFailures(c)
		for _, p := range args {
			if c.Context.Err() != nil {
				return context.Cause(c.Context)
			}
			err := fn(img.fs, strings.TrimRight(p, "/")+slashOf(p), fails)
			if err := fails.add(p, err); err != nil {
				return err
			}
		}
		return fails.end(nil)
	})
}

// slashOf keeps the root's name.
func slashOf(p string) string {
	if strings.Trim(p, "/") == "" {
		return "/"
	}
	return ""
}

func recursiveFlag() cli.Flag {
	return &cli.BoolFlag{Name: "recursive", Aliases: []string{"R"}, Usage: "everything below as well"}
}

// overTrees runs fn for each path and everything below it; follow: a path that is a symbolic link is followed. What fails
// is named, and the rest goes on.
func overTrees(c *cli.Context, imagePath string, args []string, follow bool, fn func(v *ext4.Visit) error) error {
	return overPaths(c, imagePath, args, func(f *ext4.FS, p string, fails *failures) error {
		top, err := f.Find(p, follow)
		if err != nil {
			return err
		}
		w := ext4.Walk{
			Visit: func(v *ext4.Visit) error {
				if err := fn(v); err != nil {
					return fails.add(v.Path(), reason(err))
				}
				return nil
			},
			Bad: func(v *ext4.Visit, err error) error { return fails.add(v.Path(), err) },
		}
		return w.Run(c.Context, top, p)
	})
}
