package main

import (
	"os"

	"github.com/urfave/cli/v2"
)

func exportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "copy a whole tree out of the image",
		ArgsUsage: "IMAGE DIR DST",
		Description: example("With modes, times, links, holes and attributes; owners and devices too for root. Into DST, which is created.\n"+
			"With --tar, DST is a tar archive, complete for everybody but for sockets; - is standard output.\n"+
			"What cannot be read, or cannot be made here, is named, and the rest goes on; the exit status is then 1.",
			"ext4img export disk.img /etc ./etc", "ext4img export --tar disk.img / - | tar tv"),
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "tar", Usage: "DST is a tar archive"}},
		Action: exportTree,
	}
}

func exportTree(c *cli.Context) error {
	if err := need(c, 3, 3); err != nil {
		return err
	}
	dir, err := inside(c, c.Args().Get(1))
	if err != nil {
		return err
	}
	dst, asTar, e := c.Args().Get(2), c.Bool("tar"), newEnv(c)
	return withImage(e, c.Args().First(), reading, func(img *image) error {
		bar := newProgress(e, "export", -1)
		defer bar.end()
		fails := newFailures(e)
		fails.bar = bar
		x := newExporter(e.ctx, img.fs, exportOptions{
			Top:      dir,
			Progress: bar.add,
			Failed:   fails.add,
			LeftOut: func(path string, why error) {
				bar.clear()
				complain(messages(e), "export %s: left out: %v", path, why)
			},
		})
		switch {
		case !asTar:
			err = x.toDir(dst)
		case dst == "-":
			err = x.toTar(rawOutput(e))
		default:
			err = replaceFile(dst, 0o666, func(out *os.File) error { return x.toTar(out) })
		}
		return fails.end(opError(e, dst, err))
	})
}
