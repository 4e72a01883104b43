package main

import (
	"context"
	"errors"
	"fmt"
	"path"

	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

func noTargetFlag() cli.Flag {
	return &cli.BoolFlag{Name: "no-target-directory", Aliases: []string{"T"}, Usage: "take the last PATH as a name, even if it is a directory"}
}

// targetOptions say how the last argument of mv and ln is taken.
type targetOptions struct {
	image string
	paths []string // of which the last is the target

	name bool // it is a name, even if there is a directory
	link bool // it is a name if there is a symbolic link to a directory
	text bool // the others are texts of symbolic links, and no paths
}

// parse reads the arguments, after the flags.
func (o *targetOptions) parse(c *cli.Context) error {
	if err := need(c, 3, -1); err != nil {
		return err
	}
	o.image, o.paths = c.Args().First(), c.Args().Tail()
	for i, p := range o.paths {
		if _, err := inside(c, p); err != nil && (i == len(o.paths)-1 || !o.text) {
			return err
		}
	}
	return nil
}

// dir tells whether the last argument is a directory to put names into.
func (o targetOptions) dir(f *ext4.FS, target string) bool {
	if o.name {
		return false
	}
	info, err := stat(f, target)
	if o.link {
		info, err = lstat(f, target)
	}
	return err == nil && info.IsDir()
}

// intoTarget runs fn for all arguments but the last with the name it shall get: the last argument, or a name in it if it
// is a directory. What fails is named, and the rest goes on. A name that was made is not replaced by the next.
func intoTarget(e *env, o targetOptions, fn func(f *ext4.FS, from, to string) error) error {
	last := len(o.paths) - 1
	sources, target := o.paths[:last], o.paths[last]
	return withImage(e, o.image, writing, func(img *image) error {
		dir := o.dir(img.fs, target)
		if len(sources) > 1 && !dir {
			return opError(e, target, errors.New("not a directory"))
		}
		made, fails := map[string]bool{}, newFailures(e)
		for _, from := range sources {
			if e.ctx.Err() != nil {
				return context.Cause(e.ctx)
			}
			to := target
			if dir {
				to = path.Join(target, path.Base(from))
			}
			err := errors.New("not over " + to + ", which was just made")
			if !made[to] {
				err = fn(img.fs, from, to)
			}
			made[to] = made[to] || err == nil
			if err := fails.add(from, renamed(err, to)); err != nil {
				return err
			}
		}
		return fails.end(nil)
	})
}

// renamed is an error of an operation on two names: where the first is meant, the second stands with the reason.
func renamed(err error, to string) error {
	if errors.Is(err, ext4.ErrSameFile) {
		return fmt.Errorf("%s is %w", to, ext4.ErrSameFile)
	}
	return err
}
