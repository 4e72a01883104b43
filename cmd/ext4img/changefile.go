package main

import (
	"errors"
	"io/fs"
	"os"

	"ext4img/ext4"
)

// change is which file a command changes.
type change struct {
	image, path string
	create      bool  // if it is missing
	off, room   int64 // a range of bytes for which there must be room
}

// run opens the file for writing, runs fn, and makes the result durable.
func (ch change) run(e *env, fn func(f *ext4.File) error) error {
	return withImage(e, ch.image, writing, func(img *image) error {
		f, undo, err := img.target(ch.path, ch.create, ch.off, ch.room)
		if err != nil {
			return opError(e, ch.path, err)
		}
		err = fn(f)
		if e := finishWriting(f, err == nil); err == nil {
			err = e
		}
		if err != nil {
			undo()
		}
		return opError(e, ch.path, err)
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
