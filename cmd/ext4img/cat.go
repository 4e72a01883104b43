package main

import (
	"errors"
	"io"
	"os"
	"syscall"

	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

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
	return withImage(c, reading, func(img *image) error {
		for _, arg := range c.Args().Tail() {
			p, err := inside(c, arg)
			if err != nil {
				return err
			}
			if err := copyOut(c, img.fs, p, c.App.Writer, nil); err != nil {
				return opError(c, p, err)
			}
		}
		return nil
	})
}

// copyOut copies a file's content to w.
func copyOut(c *cli.Context, f *ext4.FS, name string, w io.Writer, bar *progress) error {
	file, err := f.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	if info, e := file.Stat(); e != nil || info.IsDir() {
		if e == nil {
			e = syscall.EISDIR
		}
		return errors.Join(e, file.Close())
	}
	buf := make([]byte, 1<<20)
	for err == nil {
		if err = c.Context.Err(); err != nil {
			break
		}
		var n int
		n, err = file.Read(buf)
		if n > 0 {
			if _, e := w.Write(buf[:n]); e != nil {
				err = e
			}
			if bar != nil {
				bar.add(int64(n))
			}
		}
	}
	if err == io.EOF {
		err = nil
	}
	if e := file.Close(); err == nil {
		err = e
	}
	return err
}
