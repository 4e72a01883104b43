package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

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
		Action: importTree,
	}
}

func importTree(c *cli.Context) error {
	if err := need(c, 3, 3); err != nil {
		return err
	}
	src, e := c.Args().Get(0), newEnv(c)
	bad := newFailures(e)
	o, err := importFlags(c, bad)
	if err != nil {
		return err
	}
	from, err := openImportSource(c.Context, src, c.Bool("tar"), c.App.Reader)
	if errors.Is(err, errNoTar) {
		complain(messages(e), "%v", tell(e.operation(), src, err))
		return &exitStatus{exitUsage}
	}
	if err != nil {
		return opError(e, src, err)
	}
	defer from.close()
	if from.archive == nil && os.Getenv("FAKEROOTKEY") != "" {
		complain(messages(e), "import: fakeroot does not reach into this program: owners, devices and modes are those of the host; "+
			"what works, inside of fakeroot: tar -C SRC -c . | %s import --tar - IMAGE DIR", name)
	}
	err = withImage(e, c.Args().Get(1), writing, func(img *image) error {
		bar := newProgress(e, "import", -1)
		defer bar.end()
		o.progress, bad.bar = bar.add, bar
		im, err := newImporter(img.fs, o)
		if err != nil {
			return opError(e, o.dir, err)
		}
		err = from.into(c.Context, im)
		if closed := im.close(); err == nil {
			err = closed
		}
		return opError(e, src, err)
	})
	return bad.end(err)
}

// importFlags are the options of a command line.
func importFlags(c *cli.Context, bad *failures) (o importOptions, err error) {
	if o.dir, err = inside(c, c.Args().Get(2)); err != nil {
		return o, err
	}
	queue, err := parseQueue(c)
	if err != nil {
		return o, err
	}
	o.uid, o.gid = -1, -1
	if who := c.String("owner"); who != "" {
		if o.uid, o.gid, err = parseOwner(who); err != nil {
			return o, usagef(c, "%v", err)
		}
	}
	o.depth, o.piece = queue.depth, int(queue.bs)
	fixed, err := clock()
	if err != nil {
		return o, err
	}
	o.noAtime = fixed != nil
	o.failed = bad.add
	o.warn = func(format string, args ...any) {
		bad.bar.clear()
		complain(bad.to, "import: %s", fmt.Sprintf(format, args...))
	}
	return o, nil
}

// importSource is a directory of the host, or an archive that has been looked into.
type importSource struct {
	path    string
	archive io.Reader // nil: a directory
	file    *os.File
	raw     io.Reader // what archive is read from
}

// openImportSource opens SRC. Nothing is changed before it is known what that is.
func openImportSource(ctx context.Context, src string, isTar bool, stdin io.Reader) (*importSource, error) {
	s := &importSource{path: src}
	if src == "-" {
		s.raw = newCtxReader(ctx, stdin)
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
		s.raw = s.file
		if !info.Mode().IsRegular() {
			s.raw = newCtxReader(ctx, s.file)
		}
	}
	var err error
	s.archive, err = decompress(s.raw, src)
	if err != nil {
		s.close()
	}
	if errors.Is(err, errNoTar) && !isTar && src != "-" {
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
func (s *importSource) into(ctx context.Context, im *importer) error {
	if s.archive == nil {
		return im.walk(ctx, s.path)
	}
	if err := im.tar(ctx, &tarReader{r: s.archive}); err != nil {
		return err
	}
	return s.drain()
}

// drain reads what follows the end of an archive: whoever writes into the pipe is to see no error, and a checksum at the end
// of a compressed stream is to be compared. Bytes that are no compressed stream may follow one.
func (s *importSource) drain() error {
	_, err := io.Copy(io.Discard, s.archive)
	if isTrailer(err) {
		err = nil
	}
	if err == nil && s.file == nil {
		_, err = io.Copy(io.Discard, s.raw)
	}
	return err
}
