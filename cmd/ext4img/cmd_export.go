package main

import (
	"io"
	"os"

	"ext4img/ext4/tree"

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
		Action: action(parseExport, exportTree),
	}
}

// exportOptions are the flags and arguments of export.
type exportOptions struct {
	image, dir, dst string
	asTar           bool
}

func parseExport(c *cli.Context) (o exportOptions, err error) {
	if err := need(c, 3, 3); err != nil {
		return o, err
	}
	o.image, o.dst, o.asTar = c.Args().Get(0), c.Args().Get(2), c.Bool("tar")
	o.dir, err = inside(c, c.Args().Get(1))
	return o, err
}

func exportTree(e *env, o exportOptions) error {
	return withImage(e, o.image, reading, func(img *image) error {
		bar := newProgress(e, "export", -1)
		defer bar.end()
		fails := newFailures(e)
		fails.bar = bar
		what := tree.ExportOptions{Progress: bar.add, Failed: fails.add, LeftOut: func(path string, why error) {
			bar.clear()
			complain(messages(e), "export %s: left out: %v", path, why)
		}}
		archive := func(w io.Writer) error { return tree.ExportTar(e.ctx, img.fs, o.dir, w, what) }
		var err error
		switch {
		case !o.asTar:
			err = tree.ExportDir(e.ctx, img.fs, o.dir, o.dst, what)
		case o.dst == "-":
			err = archive(rawOutput(e))
		default:
			err = tree.ReplaceFile(o.dst, 0o666, func(out *os.File) error { return archive(out) })
		}
		return fails.end(opError(e, o.dst, err))
	})
}
