package ioend

// Flags of an IOEnd, guarded by the inode's lock.
const (
	// flagUnwritten: the range is not known to be converted yet (EXT4_IO_END_UNWRITTEN).
	flagUnwritten = 1 << iota
	// flagQueued: a queued work item points at this IOEnd (EXT4_IO_END_QUEUED).
	flagQueued
)

// An IOEnd is one direct write. Between Begin and the return of the Done
// callback it belongs to the write; after that it must not be touched.
type IOEnd struct {
	Off, Len int64 // bytes of the file
	Private  any   // for the caller; cleared when the IOEnd is pooled

	err   error  // error of the device I/O
	flags uint8  // flagUnwritten, flagQueued
	live  bool   // in use, not in the pool
	epoch uint64 // the epoch in which it began, see state.mark
	slot  int    // index of its range in the batch being converted, or -1
}

// A Range is a run of file bytes to convert. convert sets Err if it could not convert them.
type Range struct {
	Off, Len int64
	Err      error
}

// state is everything that the inode's lock guards. Its methods, and those of flush marked locked, are the atomic
// regions of the machine: each runs under one hold of the lock, and none blocks.
type state struct {
	completed []*IOEnd // i_completed_io_list
	dio       int      // direct I/O in flight (i_dio_count)
	unwritten int      // unwritten IOEnds begun and not settled (i_unwritten)

	epochs []int  // unwritten, split by epoch; the last one counts new writes
	base   uint64 // number of epochs[0]; all older ones are settled

	blocked bool // new direct I/O waits
	waiting int  // direct I/O that found it blocked
	admit   int  // how many of those must pass before the next block

	convErr error // first failed conversion no Sync has reported yet
	ioErr   error // first failed device I/O no Sync has reported yet

	pool []*IOEnd
}

// begin counts a write in flight and takes its IOEnd from the pool. The caller has made sure that new direct I/O is
// not blocked.
func (s *state) begin(off, n int64, unwritten bool) *IOEnd {
	io := s.get()
	io.Off, io.Len = off, n
	s.dio++
	if unwritten {
		io.flags = flagUnwritten
		io.epoch = s.epoch()
		s.epochs[len(s.epochs)-1]++
		s.unwritten++
	}
	return io
}

// get takes an IOEnd out of the pool, or makes one.
func (s *state) get() *IOEnd {
	var io *IOEnd
	if n := len(s.pool); n > 0 {
		io, s.pool = s.pool[n-1], s.pool[:n-1]
	} else {
		io = new(IOEnd)
	}
	io.live = true
	return io
}

// put returns an IOEnd to the pool.
func (s *state) put(io *IOEnd) {
	io.must("pooled")
	*io = IOEnd{}
	s.pool = append(s.pool, io)
}

// addCompleteIO appends io to the completed list. If the list was empty, it marks io Queued and returns true: its
// work must be queued. Otherwise some work is queued already, or another context is about to take the list.
func (s *state) addCompleteIO(io *IOEnd, err error) (queueWork bool) {
	io.must("completed")
	if io.flags != flagUnwritten {
		panic("ioend: completed IOEnd is not unwritten, or completed twice")
	}
	io.err = err
	if s.list(io) {
		io.flags |= flagQueued
		return true
	}
	return false
}

// list appends io to the completed list and tells whether the list was empty.
func (s *state) list(io *IOEnd) (first bool) {
	s.completed = append(s.completed, io)
	return len(s.completed) == 1
}

// settle records the result of a write and drops its counts. It reports whether a goroutine could have waited for
// that.
func (s *state) settle(io *IOEnd, convErr error) (wake bool) {
	io.must("settled")
	s.fail(io.err, convErr)
	s.dio--
	if s.dio < 0 {
		panic("ioend: more direct I/O settled than begun")
	}
	wake = s.dio == 0
	if io.flags&flagUnwritten != 0 && s.dropUnwritten(io) {
		wake = true
	}
	return wake
}

// dropUnwritten removes a write from the unwritten counts. It reports whether all writes of an epoch are now settled.
func (s *state) dropUnwritten(io *IOEnd) (passed bool) {
	s.unwritten--
	s.epochs[io.epoch-s.base]--
	for len(s.epochs) > 1 && s.epochs[0] == 0 {
		s.epochs = s.epochs[1:]
		s.base++
		passed = true
	}
	return passed
}

// fail keeps the first error of each kind for the next Sync.
func (s *state) fail(ioErr, convErr error) {
	if s.ioErr == nil {
		s.ioErr = ioErr
	}
	if s.convErr == nil {
		s.convErr = convErr
	}
}

// takeError returns the pending error and forgets it.
func (s *state) takeError() error {
	err := s.convErr
	if err == nil {
		err = s.ioErr
	}
	s.convErr, s.ioErr = nil, nil
	return err
}

// epoch is the number of the epoch that new writes join.
func (s *state) epoch() uint64 {
	if len(s.epochs) == 0 {
		s.epochs = append(s.epochs, 0)
	}
	return s.base + uint64(len(s.epochs)) - 1
}

// mark closes the epoch of the writes begun so far and returns the number of the next epoch. passed reports when all
// writes of earlier epochs are settled. Sync waits for the writes begun before it, rather than for a count of zero:
// so an endless stream of writers cannot starve it.
func (s *state) mark() uint64 {
	e := s.epoch()
	if s.epochs[len(s.epochs)-1] == 0 {
		return e
	}
	s.epochs = append(s.epochs, 0)
	return e + 1
}

// passed tells whether every unwritten IOEnd begun before mark returned e is settled.
func (s *state) passed(e uint64) bool { return s.base >= e }

// wait tells whether new direct I/O is blocked, and counts the caller as waiting if so.
func (s *state) wait() bool {
	if s.blocked {
		s.waiting++
	}
	return s.blocked
}

// pass lets one waiting direct I/O through. It reports whether the next block can have been waiting for it.
func (s *state) pass() (wake bool) {
	s.waiting--
	s.admit--
	return s.admit == 0
}

// tryBlock holds off new direct I/O. It fails while another caller holds it off, and while direct I/O that waited for
// the previous block has not passed yet, so that truncates in a row cannot starve writers.
func (s *state) tryBlock() bool {
	if s.blocked || s.admit > 0 {
		return false
	}
	s.blocked = true
	return true
}

// unblock lets direct I/O pass again. Direct I/O that waited passes before the next block.
func (s *state) unblock() {
	if !s.blocked {
		panic("ioend: unblock without block")
	}
	s.blocked = false
	s.admit = s.waiting
}

// must panics if an IOEnd is used after it was returned to the pool.
func (io *IOEnd) must(what string) {
	if !io.live {
		panic("ioend: freed IOEnd " + what)
	}
}
