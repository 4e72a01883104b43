package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

func putCommand() *cli.Command {
	return &cli.Command{
		Name: "put", Usage: "copy a file into the image", ArgsUsage: "SRC IMAGE PATH",
		Description: example("SRC - is standard input. PATH may be a directory. A file that is there gets the content of SRC, and keeps\n"+
			"its permissions, owner, attributes and links, unless told otherwise; if anything fails it keeps its content, too.",
			"ext4img put kernel.bin disk.img /boot/vmlinuz", "ext4img put --owner 0:42 --mode 640 shadow disk.img /etc/shadow"),
		Flags: append(queueFlags(), sizeFlag(1<<20, "size of one write", "bs"),
			&cli.StringFlag{Name: "mode", Aliases: []string{"m"}, Usage: "octal `MODE` (of a new file, by default: that of SRC)"},
			&cli.StringFlag{Name: "owner", Usage: "`UID[:GID]` (of a new file, by default: root:root)"},
			&cli.BoolFlag{Name: "follow", Usage: "if PATH is a symbolic link, write to what it leads to"}),
		Action: put,
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
	o, err := putFlags(c)
	if err != nil {
		return err
	}
	src, perm, err := openPut(c.App.Reader, from)
	if err != nil {
		return opError(c, from, err)
	}
	defer src.close()
	if !o.SetPerm {
		o.New.Perm = perm
	}
	o.Size = src.room()
	img, err := openImage(c, imagePath, writing)
	if err != nil {
		return opError(c, "", err)
	}
	p, err = putName(img.fs, p, from)
	if err == nil {
		err = putFile(c, img, src, p, o)
	}
	if e := img.close(); err == nil {
		err = e
	}
	return opError(c, p, err)
}

// putFlags reads what the flags say of permissions and owner.
func putFlags(c *cli.Context) (o ext4.DraftOptions, err error) {
	o.Follow = c.Bool("follow")
	if m := c.String("mode"); m != "" {
		if o.New.Perm, err = parseOctal(m); err != nil {
			return o, usagef(c, "%v", err)
		}
		o.SetPerm = true
	}
	if who := c.String("owner"); who != "" {
		uid, gid, err := parseOwner(who)
		if err != nil {
			return o, usagef(c, "%v", err)
		}
		o.SetUID, o.SetGID = uid >= 0, gid >= 0
		o.New.UID, o.New.GID = uint32(max(uid, 0)), uint32(max(gid, 0))
	}
	return o, nil
}

// openPut opens what is to be copied, and says which permissions a new file gets; - is stdin.
func openPut(stdin io.Reader, from string) (src *source, perm uint16, err error) {
	if from == "-" {
		return &source{r: stdin, size: -1}, 0o644, checkStdin(stdin)
	}
	f, err := os.Open(from)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	src = &source{r: f, file: f, size: -1}
	if info.Mode().IsRegular() {
		src.size = info.Size()
	}
	return src, ext4.PermBits(info.Mode()), nil
}

// putName is the name that a copy gets: in the directory if p is one.
func putName(f *ext4.FS, p, from string) (string, error) {
	if info, err := stat(f, p); (err != nil || !info.IsDir()) && !strings.HasSuffix(p, "/") {
		return p, nil
	}
	if from == "-" {
		return p, fmt.Errorf("standard input has no name that it could get in a directory: %w", syscall.EISDIR)
	}
	return path.Join(p, filepath.Base(from)), nil
}

// putFile copies a source into a draft, which takes its place when all of it is durable.
func putFile(c *cli.Context, img *image, src *source, p string, o ext4.DraftOptions) error {
	d, err := img.fs.Draft(p, o)
	if err != nil {
		if info, e := lstat(img.fs, p); e == nil && info.Mode()&fs.ModeSymlink != 0 && !o.Follow && errors.Is(err, syscall.ELOOP) {
			return fmt.Errorf("a symbolic link; --follow writes to what it leads to: %w", syscall.ELOOP)
		}
		return err
	}
	if src.size > 0 { // one allocation instead of many
		err = d.File.Fallocate(ext4.FallocKeepSize, 0, src.size)
		if errors.Is(err, syscall.EOPNOTSUPP) { // ext2 and ext3 have no unwritten blocks
			err = nil
		}
	}
	if err == nil {
		_, err = writeAll(c, img, d.File, src)
	}
	if err == nil {
		err = d.File.Sync()
	}
	if err != nil {
		_ = d.Discard() // the error that led here is the one to report
		return err
	}
	return d.Commit()
}
