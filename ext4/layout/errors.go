package layout

import (
	"errors"
	"fmt"

	"ext4img/aio/block"
)

// The kinds of failure that the format itself can cause. Everything else is an I/O error or one of the usual
// fs and syscall errors.
var (
	// ErrCorrupt says that the disk is wrong.
	ErrCorrupt = block.ErrCorrupt
	// ErrUnsupported says that the disk is right but this program cannot handle it.
	ErrUnsupported = block.ErrUnsupported
)

// Corruptf makes an error of kind ErrCorrupt. The text says what is wrong and where. PlaceOf takes the place from the
// first inode number (Ino) and the first block number (Pblk) among the arguments.
func Corruptf(format string, args ...any) error {
	e := &kindError{text: fmt.Sprintf(format, args...), kind: ErrCorrupt}
	for _, a := range args {
		switch a := a.(type) {
		case Ino:
			if e.place.Ino == 0 {
				e.place.Ino = a
			}
		case Pblk:
			if e.place.Block == 0 {
				e.place.Block = a
			}
		}
	}
	return e
}

// A Place is a place where an image is wrong, as far as it is known.
type Place struct {
	Ino      Ino  // 0: not known
	Block    Pblk // 0: not known
	Checksum bool // a checksum is wrong
}

// PlaceOf returns the place that an error of kind ErrCorrupt carries.
func PlaceOf(err error) (p Place) {
	var e *kindError
	if errors.As(err, &e) {
		p = e.place
	}
	var in *inodeError
	if p.Ino == 0 && errors.As(err, &in) {
		p.Ino = in.ino
	}
	return p
}

// InInode adds to an error of kind ErrCorrupt, for PlaceOf, the inode that it is about. The text does not change.
// Other errors, and nil, are returned as they are.
func InInode(ino Ino, err error) error {
	if !errors.Is(err, ErrCorrupt) {
		return err
	}
	return &inodeError{err, ino}
}

type inodeError struct {
	err error
	ino Ino
}

// Error is the text of the error within.
func (e *inodeError) Error() string { return e.err.Error() }

// Unwrap is the error within.
func (e *inodeError) Unwrap() error { return e.err }

// Unsupportedf makes an error of kind ErrUnsupported.
func Unsupportedf(format string, args ...any) error {
	return &kindError{text: fmt.Sprintf(format, args...), kind: ErrUnsupported}
}

type kindError struct {
	text  string
	kind  error
	place Place
}

func (e *kindError) Error() string { return e.text + ": " + e.kind.Error() }
func (e *kindError) Unwrap() error { return e.kind }

// csumError reports a checksum that does not match.
func csumError(what string, got, want uint32) error {
	return &kindError{fmt.Sprintf("%s: checksum %#x, want %#x", what, got, want), ErrCorrupt, Place{Checksum: true}}
}
