package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime/debug"
	"strings"

	"ext4img/aio"
	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

// image is an open IMAGE.
type image struct {
	path string
	dev  aio.Device
	log  aio.Device // its external journal; nil if none was given
	fs   *ext4.FS
}

// access is how a command opens its image.
type access int

const (
	reading  access = iota // never changes a byte; a dirty image is seen as after recovery
	scanning               // reading much of it: through the page cache, which may have it already
	writing
)

// readingMemory is what a command that reads gets along with: from there on the garbage collector works harder. What is in
// use at the same time, the names of directories and the cache, is less.
const readingMemory = 192 << 20

// openImage opens the file system on the image at path.
func openImage(c *cli.Context, path string, how access) (*image, error) {
	dev, err := openDevice(c, path, how)
	if err != nil {
		return nil, err
	}
	if how == reading {
		debug.SetMemoryLimit(readingMemory)
	}
	o := ext4.Options{ReadOnly: how == reading}
	if o.Clock, err = clock(); err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	if o.Journal, err = openLog(c, how); err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	fs, err := ext4.Open(dev, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), closeLog(o.Journal), dev.Close())
	}
	for _, w := range fs.Warnings() {
		complain(messages(c), "warning: %s: %v", path, w)
	}
	return &image{path, dev, o.Journal, fs}, nil
}

// openLog opens the external journal, if one was given.
func openLog(c *cli.Context, how access) (aio.Device, error) {
	path := c.String("journal")
	if path == "" {
		return nil, nil
	}
	dev, err := aio.Open(path, aio.Options{Write: how == writing})
	if err != nil {
		return nil, hostError(path, err)
	}
	return dev, nil
}

func closeLog(log aio.Device) error {
	if log == nil {
		return nil
	}
	return log.Close()
}

// close closes the file system and the device.
func (img *image) close() error {
	return errors.Join(img.fs.Close(), closeLog(img.log), img.dev.Close())
}

// withImage opens the image that the first argument names, runs fn, and closes it.
func withImage(c *cli.Context, how access, fn func(img *image) error) error {
	if c.NArg() == 0 {
		return usagef(c, "no IMAGE given")
	}
	return withImageAt(c, c.Args().First(), how, fn)
}

func withImageAt(c *cli.Context, path string, how access, fn func(img *image) error) error {
	img, err := openImage(c, path, how)
	if err != nil {
		return opError(c, "", err)
	}
	err = fn(img)
	if e := img.close(); e != nil && (err == nil || errors.As(err, new(*exitStatus))) {
		err = opError(c, img.path, e)
	}
	return err
}

// openDevice opens the device below a file system: the image, or a partition of it.
func openDevice(c *cli.Context, path string, how access) (aio.Device, error) {
	o := aio.Options{Write: how == writing, Buffered: how == scanning, Engine: c.String("engine")} // none where the command has no such flag
	dev, err := aio.Open(path, o)
	if err != nil {
		return nil, hostError(path, err)
	}
	part, err := choosePartition(dev, selected(c, path))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), dev.Close())
	}
	return part, nil
}

// hostError makes an error of opening an image begin with its path: the operation is the command.
func hostError(path string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) && pe.Path == path {
		return fmt.Errorf("%s: %w", path, pe.Err)
	}
	text, _ := strings.CutPrefix(err.Error(), "open ")
	return errText{text, err}
}

// errText is an error under another text.
type errText struct {
	text string
	err  error
}

func (e errText) Error() string { return e.text }
func (e errText) Unwrap() error { return e.err }

// told is an errText that names operation and path.
type told struct{ errText }

// opError gives an error the operation, which is the command, and the path, unless it says them already.
func opError(c *cli.Context, name string, err error) error { return tell(operation(c), name, err) }

// tell is opError for a command called op.
func tell(op, name string, err error) error {
	var usage *usageError
	if errors.As(err, &usage) || errors.As(err, new(*exitStatus)) || errors.As(err, new(*outputError)) || err == nil {
		return err
	}
	switch e := err.(type) {
	case *fs.PathError:
		return told{errText{op + " " + e.Path + ": " + e.Err.Error(), e.Err}}
	case told:
		return err
	}
	if name == "" { // err begins with the path
		return told{errText{op + " " + err.Error(), err}}
	}
	return told{errText{op + " " + name + ": " + err.Error(), err}}
}

// operation is the command's name; a subcommand's with that of its parent.
func operation(c *cli.Context) string { return strings.TrimPrefix(c.Command.HelpName, name+" ") }

// need checks the number of positional arguments; max < 0: any.
func need(c *cli.Context, min, max int) error {
	switch n := c.NArg(); {
	case n < min:
		return usagef(c, "too few arguments: want %s", c.Command.ArgsUsage)
	case max >= 0 && n > max:
		return usagef(c, "too many arguments: want %s", c.Command.ArgsUsage)
	}
	return nil
}

// operandFirst splits IMAGE OPERAND PATH... Who is used to coreutils may write OPERAND IMAGE PATH... where only one of the
// two can be meant: OPERAND names no file here.
func operandFirst(c *cli.Context) (image, operand string, paths []string) {
	args := c.Args().Slice()
	image, operand = args[0], args[1]
	if _, err := os.Stat(image); err != nil {
		if _, err := os.Stat(operand); err == nil {
			image, operand = operand, image
		}
	}
	return image, operand, args[2:]
}

// inside is a PATH argument: absolute, inside the file system. The trailing slash stays, it means a directory.
func inside(c *cli.Context, arg string) (string, error) {
	if !path.IsAbs(arg) {
		return "", usagef(c, "path %q: must be absolute, inside the file system", arg)
	}
	return arg, nil
}

// pathArg is the PATH after IMAGE.
func pathArg(c *cli.Context) (string, error) { return inside(c, c.Args().Get(1)) }

// pathArgs are all PATHs after IMAGE.
func pathArgs(c *cli.Context) ([]string, error) {
	paths := c.Args().Tail()
	for _, p := range paths {
		if _, err := inside(c, p); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// owner is what a command creates belongs to: user and group 0, for who runs the command has no name inside the image.
func owner(perm uint16) ext4.Attr { return ext4.Attr{Perm: perm} }
