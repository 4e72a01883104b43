package layout

import (
	"errors"
	"fmt"
)

// The kinds of failure that the format itself can cause. Everything else is an I/O error or one of the usual
// fs and syscall errors.
var (
	// ErrCorrupt says that the disk is wrong.
	ErrCorrupt = errors.New("corrupt")
	// ErrUnsupported says that the disk is right and this program is not able.
	ErrUnsupported = errors.New("unsupported")
)

// Corruptf makes an error of kind ErrCorrupt. The text gives the place and what is wrong there.
func Corruptf(format string, args ...any) error {
	return &kindError{fmt.Sprintf(format, args...), ErrCorrupt}
}

// Unsupportedf makes an error of kind ErrUnsupported.
func Unsupportedf(format string, args ...any) error {
	return &kindError{fmt.Sprintf(format, args...), ErrUnsupported}
}

type kindError struct {
	text string
	kind error
}

func (e *kindError) Error() string { return e.text + ": " + e.kind.Error() }
func (e *kindError) Unwrap() error { return e.kind }

// csumError reports a checksum that does not match.
func csumError(what string, got, want uint32) error {
	return Corruptf("%s: checksum %#x, want %#x", what, got, want)
}
