package main

import (
	"errors"
	"os"
	"path"
	"path/filepath"

	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

func getCommand() *cli.Command {
	return &cli.Command{
		Name: "get", Usage: "copy a file out of the image", ArgsUsage: "IMAGE PATH [DST]",
		Description: example("Holes stay holes. DST - is standard output; without DST, the same name here.", "ext4img get disk.img /var/log/syslog"),
		Action:      get,
	}
}

func get(c *cli.Context) error {
	if err := need(c, 2, 3); err != nil {
		return err
	}
	p, err := pathArg(c)
	if err != nil {
		return err
	}
	dst := c.Args().Get(2)
	if dst == "" {
		dst = path.Base(p)
	}
	return withImage(c, reading, func(img *image) error {
		info, err := stat(img.fs, p)
		if err == nil && !info.Mode().IsRegular() {
			err = errors.New("not a regular file; export copies trees")
		}
		if err != nil {
			return opError(c, p, err)
		}
		bar := newProgress(c, "get", info.Size())
		defer bar.end()
		out := newCopyOut(c.Context, bar.add)
		if dst == "-" {
			return opError(c, p, out.stream(img.fs, p, rawOutput(c)))
		}
		if d, err := os.Stat(dst); err == nil && d.IsDir() {
			dst = filepath.Join(dst, path.Base(p))
		}
		if d, err := os.Stat(dst); err == nil && !d.IsDir() && !d.Mode().IsRegular() {
			return opError(c, p, replaceFile(dst, 0, func(w *os.File) error { return out.stream(img.fs, p, w) }))
		}
		return opError(c, p, getFile(out, img.fs, p, dst, info))
	})
}

// getFile copies a file out, holes as holes.
func getFile(c *copyOut, f *ext4.FS, p, dst string, info *ext4.FileInfo) error {
	in, err := f.OpenFile(p, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	geo := f.Geometry()
	data, err := dataOf(in, info.Size(), int64(geo.Blocks)*int64(geo.BlockSize))
	if err != nil {
		return err
	}
	return replaceFile(dst, info.Mode().Perm(), func(out *os.File) error { return c.sparse(out, in, info.Size(), data) })
}
