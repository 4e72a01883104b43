package main

import "github.com/urfave/cli/v2"

func catCommand() *cli.Command {
	return &cli.Command{
		Name:        "cat",
		Usage:       "print files",
		ArgsUsage:   "IMAGE PATH...",
		Description: example("", "ext4img cat disk.img /etc/passwd"),
		Action:      catFiles,
	}
}

func catFiles(c *cli.Context) error {
	if err := need(c, 2, -1); err != nil {
		return err
	}
	paths, err := pathArgs(c)
	if err != nil {
		return err
	}
	return withImage(c, reading, func(img *image) error {
		out, fails := newCopyOut(c.Context, nil), newFailures(c)
		return fails.end(eachOf(paths, func(p string) error {
			return fails.add(p, out.stream(img.fs, p, rawOutput(c)))
		}))
	})
}
