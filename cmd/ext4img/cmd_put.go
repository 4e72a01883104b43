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
		Action: action(parsePut, put),
	}
}

// putOptions are the flags and arguments of put.
type putOptions struct {
	from, image, path string
	queue             queueOptions
	draft             ext4.DraftOptions
}

func parsePut(c *cli.Context) (o putOptions, err error) {
	if err := need(c, 3, 3); err != nil {
		return o, err
	}
	o.from, o.image = c.Args().Get(0), c.Args().Get(1)
	if o.path, err = inside(c, c.Args().Get(2)); err != nil {
		return o, err
	}
	if o.queue, err = parseQueue(c); err != nil {
		return o, err
	}
	o.draft, err = parseDraft(c)
	return o, err
}

// parseDraft reads what the flags say of permissions and owner.
func parseDraft(c *cli.Context) (o ext4.DraftOptions, err error) {
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

func put(e *env, o putOptions) error {
	src, perm, err := openPut(e.in, o.from)
	if err != nil {
		return opError(e, o.from, err)
	}
	defer src.close()
	if !o.draft.SetPerm {
		o.draft.New.Perm = perm
	}
	o.draft.Size = src.room()
	img, err := openImage(e, o.image, writing)
	if err != nil {
		return opError(e, o.image, err)
	}
	p, err := putName(img.fs, o.path, o.from)
	if err == nil {
		err = putFile(e, img, src, p, o)
	}
	if e := img.close(); err == nil {
		err = e
	}
	return opError(e, p, err)
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
func putFile(e *env, img *image, src *source, p string, o putOptions) error {
	d, err := img.fs.Draft(p, o.draft)
	if err != nil {
		if info, e := lstat(img.fs, p); e == nil && info.Mode()&fs.ModeSymlink != 0 && !o.draft.Follow && errors.Is(err, syscall.ELOOP) {
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
		_, err = writeAll(e, img, d.File, src, o.queue)
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
