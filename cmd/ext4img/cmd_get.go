package main

import (
	"errors"
	"os"
	"path"
	"path/filepath"

	"ext4img/ext4/tree"

	"github.com/urfave/cli/v2"
)

func getCommand() *cli.Command {
	return &cli.Command{
		Name: "get", Usage: "copy a file out of the image", ArgsUsage: "IMAGE PATH [DST]",
		Description: example("Holes stay holes. DST - is standard output; without DST, the same name here.", "ext4img get disk.img /var/log/syslog"),
		Action:      action(parseGet, get),
	}
}

// getOptions are the arguments of get.
type getOptions struct{ image, path, dst string }

func parseGet(c *cli.Context) (o getOptions, err error) {
	if err := need(c, 2, 3); err != nil {
		return o, err
	}
	o.image, o.dst = c.Args().First(), c.Args().Get(2)
	if o.path, err = inside(c, c.Args().Get(1)); err == nil && o.dst == "" {
		o.dst = path.Base(o.path)
	}
	return o, err
}

func get(e *env, o getOptions) error {
	return withImage(e, o.image, reading, func(img *image) error {
		info, err := stat(img.fs, o.path)
		if err == nil && !info.Mode().IsRegular() {
			err = errors.New("not a regular file; export copies trees")
		}
		if err != nil {
			return opError(e, o.path, err)
		}
		bar := newProgress(e, "get", info.Size())
		defer bar.end()
		out := tree.NewCopier(e.ctx, bar.add)
		if o.dst == "-" {
			return opError(e, o.path, out.Stream(img.fs, o.path, rawOutput(e)))
		}
		dst := o.dst
		if d, err := os.Stat(dst); err == nil && d.IsDir() {
			dst = filepath.Join(dst, path.Base(o.path))
		}
		return opError(e, o.path, out.File(img.fs, o.path, dst))
	})
}
