package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"ext4img/ext4"
	"ext4img/ext4/tree"

	"github.com/urfave/cli/v2"
)

func importCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "copy a whole tree into the image",
		ArgsUsage: "SRC IMAGE DIR",
		Description: example("With modes, owners, times, links, holes, devices and attributes. Into DIR, which is created, and never out of it. SRC\n"+
			"is a directory or a tar archive, also compressed by gzip, bzip2, xz or zstd; - is an archive on standard input.\n"+
			"What cannot be made is named, the rest goes on, exit status 1; 2 if SRC is no archive.",
			"ext4img import ./rootfs disk.img /", "tar c . | ext4img import --tar - disk.img /srv",
			"ext4img import --owner root:root ./rootfs disk.img /"),
		Flags: append(queueFlags(), sizeFlag(1<<20, "size of one write", "bs"),
			&cli.BoolFlag{Name: "tar", Usage: "SRC is a tar archive"},
			&cli.StringFlag{Name: "owner", Usage: "all files belong to `UID:GID`, and keep set-uid bits and capabilities"}),
		Action: action(parseImport, importTree),
	}
}

// importOptions are the flags and arguments of import.
type importOptions struct {
	src, image, dir string
	isTar           bool
	queue           queueOptions
	uid, gid        int  // of every file; -1: as the source says
	noAtime         bool // times of access are those of modification: SOURCE_DATE_EPOCH
}

func parseImport(c *cli.Context) (o importOptions, err error) {
	if err := need(c, 3, 3); err != nil {
		return o, err
	}
	o.src, o.image, o.isTar, o.uid, o.gid = c.Args().Get(0), c.Args().Get(1), c.Bool("tar"), -1, -1
	if o.dir, err = inside(c, c.Args().Get(2)); err != nil {
		return o, err
	}
	if o.queue, err = parseQueue(c); err != nil {
		return o, err
	}
	if who := c.String("owner"); who != "" {
		if o.uid, o.gid, err = parseOwner(who); err != nil {
			return o, usagef(c, "%v", err)
		}
	}
	fixed, err := clock()
	o.noAtime = fixed != nil
	return o, err
}

// tree is what package tree needs of them.
func (o importOptions) tree() tree.ImportOptions {
	return tree.ImportOptions{Depth: o.queue.depth, WriteSize: int(o.queue.bs), NoAtime: o.noAtime, Change: func(e *tree.Entry) bool {
		if o.uid >= 0 {
			e.UID = uint32(o.uid)
		}
		if o.gid >= 0 {
			e.GID = uint32(o.gid)
		}
		return true
	}}
}

func importTree(e *env, o importOptions) error {
	from, err := openImportSource(e.ctx, o.src, o.isTar, e.in)
	if errors.Is(err, tree.ErrNoArchive) {
		complain(messages(e), "%v", tell(e.operation(), o.src, err))
		return &exitStatus{exitUsage}
	}
	if err != nil {
		return opError(e, o.src, err)
	}
	defer from.close()
	if from.archive == nil && os.Getenv("FAKEROOTKEY") != "" {
		complain(messages(e), "import: fakeroot does not reach into this program: owners, devices and modes are those of the host; "+
			"what works, inside of fakeroot: tar -C SRC -c . | %s import --tar - IMAGE DIR", name)
	}
	bad := newFailures(e)
	err = withImage(e, o.image, writing, func(img *image) error {
		bar := newProgress(e, "import", -1)
		defer bar.end()
		bad.bar = bar
		to := o.tree()
		to.Progress, to.Failed = bar.add, bad.add
		to.Warn = func(text string) {
			bar.clear()
			complain(messages(e), "import: %s", text)
		}
		return opError(e, o.src, from.into(e.ctx, img.fs, o.dir, to))
	})
	return bad.end(err)
}

// importSource is a directory of the host, or an archive that has been looked into.
type importSource struct {
	path    string
	archive *tree.Archive // nil: a directory
	file    *os.File
}

// openImportSource opens SRC. Nothing is changed before it is known what that is.
func openImportSource(ctx context.Context, src string, isTar bool, stdin io.Reader) (*importSource, error) {
	s, raw := &importSource{path: src}, stdin
	if src == "-" {
		raw = newCtxReader(ctx, stdin)
	} else {
		info, err := os.Stat(src)
		if err != nil {
			return nil, reason(err)
		}
		if info.IsDir() && isTar {
			return nil, errors.New("a directory, not a tar archive: without --tar it is copied as it is")
		}
		if info.IsDir() {
			return s, nil
		}
		if s.file, err = os.Open(src); err != nil {
			return nil, reason(err)
		}
		raw = s.file
		if !info.Mode().IsRegular() {
			raw = newCtxReader(ctx, s.file)
		}
	}
	var err error
	s.archive, err = tree.OpenArchive(raw)
	if err != nil {
		s.close()
	}
	if errors.Is(err, tree.ErrNoArchive) && !isTar && src != "-" {
		err = fmt.Errorf("neither a directory nor a tar archive: %w", err)
	}
	return s, err
}

func (s *importSource) close() {
	if s.file != nil {
		_ = s.file.Close() // only read
	}
}

// into imports all that the source has.
func (s *importSource) into(ctx context.Context, f *ext4.FS, dir string, o tree.ImportOptions) error {
	if s.archive == nil {
		return tree.ImportDir(ctx, f, dir, s.path, o)
	}
	return tree.ImportTar(ctx, f, dir, s.archive, o)
}
