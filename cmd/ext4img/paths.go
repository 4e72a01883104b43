package main

import (
	"context"
	"strings"

	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

// eachPath runs fn for each path in an image open for writing. What fails is named, and the rest goes on.
func eachPath(e *env, o pathsOptions, fn func(f *ext4.FS, p string) error) error {
	return overPaths(e, o, func(f *ext4.FS, p string, _ *failures) error { return fn(f, p) })
}

// overPaths is eachPath for an fn that names failures itself.
func overPaths(e *env, o pathsOptions, fn func(f *ext4.FS, p string, fails *failures) error) error {
	return withImage(e, o.image, writing, func(img *image) error {
		fails := newFailures(e)
		for _, p := range o.paths {
			if e.ctx.Err() != nil {
				return context.Cause(e.ctx)
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
func overTrees(e *env, o pathsOptions, follow bool, fn func(v *ext4.Visit) error) error {
	return overPaths(e, o, func(f *ext4.FS, p string, fails *failures) error {
		top, err := f.Find(p, follow)
		if err != nil {
			return err
		}
		w := ext4.Walk{
			Changing: true,
			Visit: func(v *ext4.Visit) error {
				if err := fn(v); err != nil {
					return fails.add(v.Path(), reason(err))
				}
				return nil
			},
			Bad: func(v *ext4.Visit, err error) error { return fails.add(v.Path(), err) },
		}
		return w.Run(e.ctx, top, p)
	})
}
