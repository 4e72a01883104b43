package ioend

// variant is a machine to explore: the production steps as they are, or a mutation built
// from the same steps.
type variant struct {
	name        string
	add         func(s *state, io *IOEnd, err error) bool
	take        func(f *flush) (more bool)
	settled     func(f *flush, io *IOEnd)                       // called after settle, in the same hold
	release     func(f *flush, hold int, more bool) (done bool) // one hold of the lock per call
	waited      func(s *state, mark uint64) bool                // the condition that FlushUnwrittenIO waits for
	addedOnly   bool                                            // a flush promises only the writes that were added before it
	trylock     bool                                            // the worker needs the inode lock
	reportFirst bool                                            // complete, then convert
	mute        bool                                            // settle wakes no goroutine
}

// production is the machine as it is.
func production() *variant {
	return &variant{
		name: "production",
		add:  (*state).addCompleteIO,
		take: func(f *flush) bool { f.take(); return false },
		release: func(f *flush, _ int, _ bool) bool {
			f.release()
			return true
		},
		waited: (*state).passed,
	}
}

func mutant(name string, change func(v *variant)) *variant {
	v := production()
	v.name = name
	change(v)
	return v
}

// v4 flushes and does not wait. With addedOnly, a flush is judged only by the writes that were on the completed list
// when it began.
func v4(addedOnly bool) *variant {
	return mutant("V4: flush without a wait", func(v *variant) {
		v.waited = func(*state, uint64) bool { return true }
		v.addedOnly = addedOnly
	})
}

// mutants must each be caught; want is a part of the message of the exploration.
var mutants = []struct {
	v    *variant
	want string
}{
	{mutant("Queued ignored at (C)", func(v *variant) {
		v.release = func(f *flush, _ int, _ bool) bool {
			for _, io := range f.batch {
				f.clearUnwritten(io)
				f.free = append(f.free, io)
			}
			f.endWork()
			return true
		}
	}), "freed"},
	{mutant("Unwritten cleared and Queued tested under two holds", func(v *variant) {
		v.release = func(f *flush, hold int, _ bool) bool {
			for _, io := range f.batch {
				if hold == 0 {
					f.clearUnwritten(io)
				} else {
					f.disown(io)
				}
			}
			if hold == 1 {
				f.endWork()
			}
			return hold == 1
		}
	}), "freed"},
	{mutant("work gives up Queued and tests Unwritten under two holds", func(v *variant) {
		v.release = func(f *flush, hold int, _ bool) bool {
			if hold == 0 {
				for _, io := range f.batch {
					f.clearUnwritten(io)
					f.disown(io)
				}
				if f.work != nil {
					f.work.flags &^= flagQueued
				}
				return f.work == nil
			}
			if f.work.flags&flagUnwritten == 0 {
				f.free = append(f.free, f.work)
			}
			return true
		}
	}), "freed"},
	{mutant("pooled while its work item is queued", func(v *variant) {
		v.settled = func(f *flush, io *IOEnd) { f.s.put(io) }
		v.release = func(*flush, int, bool) bool { return true }
	}), "work item"},
	{mutant("worker needs the inode lock (before the patch)", func(v *variant) { v.trylock = true }), "deadlock"},
	{mutant("reported before conversion", func(v *variant) { v.reportFirst = true }), "reported complete before its conversion"},
	{mutant("wait for an empty list instead of the count", func(v *variant) {
		v.waited = func(s *state, _ uint64) bool { return len(s.completed) == 0 }
	}), "flush returned nil"},
	{mutant("work never queued", func(v *variant) {
		v.add = func(s *state, io *IOEnd, err error) bool { io.err = err; s.list(io); return false }
	}), "deadlock"},
	{mutant("one taken per work item", func(v *variant) {
		v.take = func(f *flush) bool { takeOne(f); return false }
	}), "deadlock"},
	{mutant("counts dropped, nobody woken", func(v *variant) {
		v.mute = true
	}), "lost wake-up"},
}

// takeOne takes the first IOEnd of the list, and reports whether there are more.
func takeOne(f *flush) (more bool) {
	f.take()
	if len(f.batch) > 1 {
		f.s.completed, f.batch = f.batch[1:], f.batch[:1:1]
		return true
	}
	return false
}

// questions are variants from the review that turn out to be safe.
var questions = []*variant{
	mutant("one hold of the lock per IOEnd", func(v *variant) {
		v.release = func(f *flush, hold int, _ bool) bool {
			if hold < len(f.batch) {
				f.clearUnwritten(f.batch[hold])
				f.disown(f.batch[hold])
				return false
			}
			f.endWork()
			return true
		}
	}),
	mutant("work queued for every IOEnd", func(v *variant) {
		v.add = func(s *state, io *IOEnd, err error) bool {
			io.err = err
			s.list(io)
			io.flags |= flagQueued
			return true
		}
	}),
	mutant("drained one by one", func(v *variant) {
		v.take = takeOne
		v.release = func(f *flush, _ int, more bool) bool {
			for _, io := range f.batch {
				f.clearUnwritten(io)
				f.disown(io)
			}
			if !more { // the claim of the work item is given up last
				f.endWork()
			}
			return true
		}
	}),
}
