package main

import (
	"errors"

	"ext4img/aio"
	"ext4img/ext4/mkfs"
)

// errDry is what a dryDevice answers to a write.
var errDry = errors.New("dry run")

// dryDevice is a device that takes nothing: mkfs refuses options before its first write, so the first write says that
// they will do.
type dryDevice struct{ size int64 }

func (d dryDevice) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

func (d dryDevice) WriteAt([]byte, int64) (int, error) { return 0, errDry }
func (d dryDevice) Flush() error                       { return errDry }
func (d dryDevice) Size() int64                        { return d.size }
func (d dryDevice) Align() int                         { return 512 }
func (d dryDevice) Queue(int) (aio.Queue, error)       { return nil, errDry }
func (d dryDevice) Close() error                       { return nil }

// checkOptions tells whether a file system can be made with these options, before anything is lost.
func checkOptions(size int64, o mkfs.Options) error {
	err := mkfs.Make(dryDevice{size}, o)
	if errors.Is(err, errDry) {
		return nil
	}
	return err
}
