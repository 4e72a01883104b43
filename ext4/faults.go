package ext4

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// faults is what a session that is open for writing does when the image turns out to be wrong, as the kernel does it: the
// operation has failed whole; the superblock records what was wrong and where, and that the file system has errors; and
// s_errors decides whether changes go on.
//
//	continue     they do
//	remount-ro   none is made any more in this session: syscall.EROFS
//	panic        the same: a library does not end the program it is part of
//
// What was changed before stays, and is committed.
type faults struct {
	on      atomic.Bool // errors are recorded: the file system is open for writing
	stops   bool        // s_errors is not "continue"
	stopped atomic.Bool // no change is made any more

	mu      sync.Mutex
	pending error // seen by a look-up, which has no handle to record it with; the first one
	last    error // the last one that was recorded
}

// watchFaults begins to record errors.
func (fs *FS) watchFaults() error {
	s, err := fs.Super()
	if err != nil {
		return err
	}
	fs.faults.stops = s.Errors() == layout.ErrorsReadOnly || s.Errors() == layout.ErrorsPanic
	fs.faults.on.Store(true)
	return nil
}

// damaged is told of every object that is not what it should be.
func (fs *FS) damaged(err *journal.ObjectError) { fs.note(err) }

// note remembers an error that a look-up has met. It is recorded by the operation that fails with it, or by Close if that
// only reads.
func (fs *FS) note(err error) {
	f := &fs.faults
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

// changeable tells whether changes are still made.
func (fs *FS) changeable() error {
	switch {
	case fs.readOnly:
		return errReadOnly
	case fs.faults.stopped.Load():
		return fmt.Errorf("an error was found before, and the superblock asks for errors=remount-ro: %w", errReadOnly)
	}
	return nil
}

// fault records an error if it says that the image is wrong. It runs after the handle that failed with it was cancelled,
// in one of its own.
func (fs *FS) fault(err error) {
	f := &fs.faults
	if !f.on.Load() || !errors.Is(err, ErrCorrupt) {
		return
	}
	f.mu.Lock()
	f.pending, f.last = nil, err
	f.mu.Unlock()
	if f.stops {
		f.stopped.Store(true)
	}
	e := fs.errorRecord(err)
	_, _ = fs.step(1, func(h *journal.Handle) error { // the operation reports what was wrong; this may be wrong as well
		s, err := fs.space.EditSuper(h)
		if err != nil {
			return err
		}
		s.AddError(e)
		return nil
	})
}

// recordPending records what a look-up has found.
func (fs *FS) recordPending() {
	fs.faults.mu.Lock()
	err := fs.faults.pending
	fs.faults.mu.Unlock()
	if err != nil {
		fs.fault(kind(err))
	}
}

// errorRecord is what the superblock keeps of an error.
func (fs *FS) errorRecord(err error) layout.ErrorRecord {
	place := layout.PlaceOf(err)
	e := layout.ErrorRecord{Time: fs.inodes.Clock(), Code: layout.ErrCodeCorrupted, Ino: uint32(place.Ino), Block: uint64(place.Block)}
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

// running is the exported method of this package that is running, and the line it is at.
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
