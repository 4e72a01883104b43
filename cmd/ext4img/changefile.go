package main

import (
	"errors"
	"io/fs"
	"os"

	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

// withFile opens a file for writing, with room for a range of bytes, runs fn, and makes the result durable.
func withFile(c *cli.Context, name string, create bool, off, room int64, fn func(f *ext4.File) error) error {
	return withImage(c, writing, func(img *image) error {
		f, undo, err := img.target(name, create, off, room)
		if err != nil {
			return opError(c, name, err)
		}
		err = fn(f)
		if e := finishWriting(f, err == nil); err == nil {
			err = e
		}
		if err != nil {
			undo()
		}
		return opError(c, name, err)
	})
}

// target opens a file that is to be changed. If it is missing it is created, when there is room for the range of
// bytes; undo then takes it away again.
func (img *image) target(name string, create bool, off, room int64) (f *ext4.File, undo func(), err error) {
	undo = func() {}
	flag := os.O_RDWR
	if create {
		if err := img.fs.Room(name, off, room); err != nil {
			return nil, nil, err
		}
		flag |= os.O_CREATE
		if _, err := img.fs.Stat(name); errors.Is(err, fs.ErrNotExist) {
			undo = func() { _ = img.fs.Remove(name) } // the error that led here is the one to report
		}
	}
	f, err = img.fs.OpenFile(name, flag, 0o644)
	return f, undo, err
}

// finishWriting syncs, if it shall, and closes; also after a failure, for what was written stays.
func finishWriting(f *ext4.File, sync bool) (err error) {
	if sync {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
