package volume

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// faults handles errors in the image during a session that is open for writing, as the kernel does. The operation
// that met the error has failed as a whole. The superblock records what was wrong and where, and that the file system
// has errors. s_errors decides whether changes are still allowed:
//
//	continue     they are
//	remount-ro   no change is made any more in this session: syscall.EROFS
//	panic        the same, since a library does not end the program that uses it
//
// Changes made before stay, and are committed.
type faults struct {
	on      atomic.Bool // errors are recorded: the file system is open for writing
	stops   bool        // s_errors is not "continue": an error ends all changes
	stopped atomic.Bool // no change is made any more

	mu      sync.Mutex
	pending error // the first error that a look-up has met, and could not record because it has no handle
	last    error // the last one that was recorded
}

// watchFaults begins to record errors.
func (v *Volume) watchFaults() error {
	s, err := v.Super()
	if err != nil {
		return err
	}
	v.faults.stops = s.Errors() == layout.ErrorsReadOnly || s.Errors() == layout.ErrorsPanic
	v.faults.on.Store(true)
	return nil
}

// damaged is called with every object that is not what it should be.
func (v *Volume) damaged(err *journal.ObjectError) { v.Note(err) }

// Note remembers an error that a look-up has met. The operation that fails with it records it, or Close if the
// operation only reads.
func (v *Volume) Note(err error) {
	f := &v.faults
	if !f.on.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pending == nil && (f.last == nil || !errors.Is(err, f.last)) {
		f.pending = err
	}
	if f.stops {
		f.stopped.Store(true)
	}
}

// Fault records an error if it says that the image is wrong. It runs after the handle that failed with the error was
// cancelled, in a handle of its own.
func (v *Volume) Fault(err error) {
	f := &v.faults
	if !f.on.Load() || !errors.Is(err, layout.ErrCorrupt) {
		return
	}
	f.mu.Lock()
	f.pending, f.last = nil, err
	f.mu.Unlock()
	if f.stops {
		f.stopped.Store(true)
	}
	e := v.errorRecord(err)
	_, _ = v.step(1, func(h *journal.Handle) error { // the operation reports the first error; this may fail too
		s, err := v.Space.EditSuper(h)
		if err != nil {
			return err
		}
		s.AddError(e)
		return nil
	})
}

// RecordPending records the error that a look-up has met, if any.
func (v *Volume) RecordPending() {
	v.faults.mu.Lock()
	err := v.faults.pending
	v.faults.mu.Unlock()
	if err != nil {
		v.Fault(err)
	}
}

// errorRecord is the superblock's record of an error.
func (v *Volume) errorRecord(err error) layout.ErrorRecord {
	place := layout.PlaceOf(err)
	e := layout.ErrorRecord{Time: v.Inodes.Clock(), Code: layout.ErrCodeCorrupted, Ino: uint32(place.Ino), Block: uint64(place.Block)}
	if place.Checksum {
		e.Code = layout.ErrCodeBadCRC
	}
	var object *journal.ObjectError
	if errors.As(err, &object) {
		if e.Block == 0 {
			e.Block = object.Ref.Block
		}
		if t, ok := object.Ref.Type.(interface{ Owner() layout.Ino }); ok && e.Ino == 0 {
			e.Ino = uint32(t.Owner())
		}
	}
	e.Func, e.Line = running()
	return e
}

// running returns the exported method of package ext4 that is running, and its current line.
func running() (name string, line uint32) {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		method, ok := strings.CutPrefix(f.Function, "ext4img/ext4.(*")
		if !ok {
			continue
		}
		if _, method, _ = strings.Cut(method, ")."); method != "" && method[0] >= 'A' && method[0] <= 'Z' && !strings.Contains(method, ".") {
			name, line = method, uint32(f.Line)
		}
	}
	return name, line
}
