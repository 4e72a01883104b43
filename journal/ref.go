package journal

import (
	"fmt"

	"ext4img/journal/buf"
)

// Ref names one metadata object inside one block. It is buf.Ref; packages that use handles need not import buf.
type Ref = buf.Ref

// An ObjectError says that an object on the device is not what it should be.
type ObjectError struct {
	Ref Ref
	Err error
}

// Error names the block, the object and what is wrong.
func (e *ObjectError) Error() string { return fmt.Sprintf("%v: %v", e.Ref, e.Err) }

// Unwrap is the reason.
func (e *ObjectError) Unwrap() error { return e.Err }
