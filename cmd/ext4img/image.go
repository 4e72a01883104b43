package main

import (
	"errors"
	"io/fs"

	"ext4img/aio"
	"ext4img/ext4"
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

// openImage opens the file system on the image at path.
func openImage(e *env, path string, how access) (*image, error) {
	dev, err := openDevice(e, path, how)
	if err != nil {
		return nil, err
	}
	o := ext4.Options{ReadOnly: how == reading}
	if o.Clock, err = clock(); err != nil {
		return nil, closing(err, dev)
	}
	if o.Journal, err = openLog(e, how); err != nil {
		return nil, closing(err, dev)
	}
	fsys, err := ext4.Open(dev, o)
	if err != nil {
		return nil, closing(&fs.PathError{Op: "open", Path: path, Err: err}, o.Journal, dev)
	}
	for _, w := range fsys.Warnings() {
		complain(messages(e), "warning: %s: %v", path, w)
	}
	return &image{path, dev, o.Journal, fsys}, nil
}

// openLog opens the external journal, if one was given.
func openLog(e *env, how access) (aio.Device, error) {
	if e.log == "" {
		return nil, nil
	}
	return aio.Open(e.log, aio.Options{Write: how == writing})
}

// closing is err of an open that failed, after what had been opened for it is closed.
func closing(err error, opened ...aio.Device) error {
	for _, dev := range opened {
		if dev == nil {
			continue
		}
		if e := dev.Close(); e != nil {
			err = errors.Join(err, e)
		}
	}
	return err
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

// withImage opens the image at path, runs fn, and closes it.
func withImage(e *env, path string, how access, fn func(img *image) error) error {
	img, err := openImage(e, path, how)
	if err != nil {
		return opError(e, path, err)
	}
	err = fn(img)
	if closed := img.close(); closed != nil && (err == nil || errors.As(err, new(*exitStatus))) {
		err = opError(e, img.path, closed)
	}
	return err
}

// openDevice opens the device below a file system: the image, or a partition of it.
func openDevice(e *env, path string, how access) (aio.Device, error) {
	o := aio.Options{Write: how == writing, Buffered: how == scanning, Engine: e.engine}
	dev, err := aio.Open(path, o)
	if err != nil {
		return nil, err
	}
	part, err := choosePartition(dev, selected(e, path))
	if err != nil {
		return nil, closing(&fs.PathError{Op: "open", Path: path, Err: err}, dev)
	}
	return part, nil
}

// opError gives an error the operation, which is the command, and the path, unless it says one already.
func opError(e *env, name string, err error) error { return tell(e.operation(), name, err) }

// tell is opError for a command called op.
func tell(op, name string, err error) error {
	if err == nil || errors.As(err, new(*usageError)) || errors.As(err, new(*exitStatus)) || errors.As(err, new(*outputError)) {
		return err
	}
	if pe, ok := err.(*fs.PathError); ok {
		name, err = pe.Path, pe.Err
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// owner is the owner of files that a command creates: user and group 0, because the user of the command is not known inside
// the image.
func owner(perm uint16) ext4.Attr { return ext4.Attr{Perm: perm} }
