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
	out := newCopyOut(c.Context, nil)
	return withImage(c, reading, func(img *image) error {
		for _, arg := range c.Args().Tail() {
			p, err := inside(c, arg)
			if err != nil {
				return err
			}
			if err := out.stream(img.fs, p, rawOutput(c)); err != nil {
				return opError(c, p, err)
			}
		}
		return nil
	})
}
