package main

import (
	"ext4img/ext4/tree"

	"github.com/urfave/cli/v2"
)

func catCommand() *cli.Command {
	return &cli.Command{
		Name:        "cat",
		Usage:       "print files",
		ArgsUsage:   "IMAGE PATH...",
		Description: example("", "ext4img cat disk.img /etc/passwd"),
		Action:      action(parseCat, cat),
	}
}

func parseCat(c *cli.Context) (pathsOptions, error) { return parsePaths(c, 2) }

func cat(e *env, o pathsOptions) error {
	return withImage(e, o.image, reading, func(img *image) error {
		out, fails := tree.NewCopier(e.ctx, nil), newFailures(e)
		return fails.end(eachOf(o.paths, func(p string) error {
			return fails.add(p, out.Stream(img.fs, p, rawOutput(e)))
		}))
	})
}
