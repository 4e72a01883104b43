package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

// transferCommands copy single files in and out.
func transferCommands() []*cli.Command {
	return []*cli.Command{
		{
			Name: "put", Usage: "copy a file into the image", ArgsUsage: "SRC IMAGE PATH",
			Description: example("SRC - is standard input. PATH is replaced, and may be a directory.", "ext4img put kernel.bin disk.img /boot/vmlinuz"),
			Flags: append(queueFlags(), sizeFlag(1<<20, "size of one write", "bs"),
				&cli.StringFlag{Name: "mode", Aliases: []string{"m"}, Usage: "octal `MODE` (default: that of SRC)"}),
			Action: put,
		},
		{
			Name: "get", Usage: "copy a file out of the image", ArgsUsage: "IMAGE PATH [DST]",
			Description: example("Holes stay holes. DST - is standard output; without DST, the same name here.", "ext4img get disk.img /var/log/syslog"),
			Action:      get,
		},
	}
}

func put(c *cli.Context) error {
	if err := need(c, 3, 3); err != nil {
		return err
	}
	from, imagePath := c.Args().Get(0), c.Args().Get(1)
	p, err := inside(c, c.Args().Get(2))
	if err != nil {
		return err
	}
	if err := checkQueueFlags(c); err != nil {
		return err
	}
	src, mode := &source{r: c.App.Reader, size: -1}, uint16(0o644)
	if from != "-" {
		f, err := os.Open(from)
		if err != nil {
			return opError(c, from, err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err == nil && info.IsDir() {
			err = syscall.EISDIR
		}
		if err != nil {
			return opError(c, from, err)
		}
		mode = ext4.PermBits(info.Mode())
		src.r, src.file, src.size = f, f, info.Size()
		if !info.Mode().IsRegular() {
			src.size = -1
		}
	}
	if m := c.String("mode"); m != "" {
		if mode, err = parseOctal(m); err != nil {
			return usagef(c, "%v", err)
		}
	}
	img, err := openImage(c, imagePath, writing)
	if err != nil {
		return opError(c, "", err)
	}
	err = putFile(c, img, src, targetName(img.fs, p, from), mode)
	if e := img.close(); err == nil {
		err = e
	}
	return opError(c, p, err)
}

// targetName is the name a copy gets: in the directory if p is one.
func targetName(f *ext4.FS, p, from string) string {
	if info, err := stat(f, p); err == nil && info.IsDir() || strings.HasSuffix(p, "/") {
		return path.Join(p, filepath.Base(from))
	}
	return p
}

// putFile copies a source into the image under another name, and gives it the right one when all of it is durable:
// what was there before stays until then.
func putFile(c *cli.Context, img *image, src *source, p string, mode uint16) (err error) {
	switch dir, err := stat(img.fs, path.Dir(p)); {
	case err != nil:
		return err
	case !dir.IsDir():
		return &fs.PathError{Op: "put", Path: path.Dir(p), Err: syscall.ENOTDIR}
	}
	tmp := path.Join(path.Dir(p), fmt.Sprintf(".ext4img-put-%d", os.Getpid()))
	defer func() {
		var pe *fs.PathError
		if errors.As(err, &pe) && pe.Path == tmp { // a name that the user does not know
			err = &fs.PathError{Op: pe.Op, Path: p, Err: pe.Err}
		}
	}()
	if err := img.fs.Room(tmp, 0, src.room()); err != nil {
		return err
	}
	f, err := img.fs.Create(tmp, owner(mode))
	if err != nil {
		return err
	}
	if src.size > 0 { // one allocation instead of many
		err = f.Fallocate(ext4.FallocKeepSize, 0, src.size)
		if errors.Is(err, syscall.EOPNOTSUPP) { // ext2 and ext3 have no unwritten blocks
			err = nil
		}
	}
	if err == nil {
		_, err = writeAll(c, img, f, src)
	}
	if err == nil {
		err = img.fs.Chmod(tmp, mode)
	}
	if e := finishWriting(f, err == nil); err == nil {
		err = e
	}
	if err == nil {
		err = img.fs.Rename(tmp, p, 0)
	}
	if err != nil {
		_ = img.fs.Remove(tmp) // the error that led here is the one to report
	}
	return err
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
