package ioend

// TryBeginRead is BeginRead, but returns false instead of waiting.
func (in *Inode) TryBeginRead() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.s.blocked {
		return false
	}
	in.s.dio++
	return true
}

// Overwrites says of a write begun as unwritten, and not yet submitted, that its blocks turned out to be written: it
// has nothing to convert, no flush waits for it any more, and Complete ends it.
func (in *Inode) Overwrites(io *IOEnd) {
	in.mu.Lock()
	defer in.mu.Unlock()
	wake := in.s.overwrites(io)
	in.unwritten.Store(int64(in.s.unwritten))
	if wake {
		in.cond.Broadcast()
	}
}

// overwrites drops a write from the unwritten count. It tells whether a flush may have waited for it.
func (s *state) overwrites(io *IOEnd) (wake bool) {
	io.must("found to overwrite")
	if io.flags&flagUnwritten == 0 {
		return false
	}
	io.flags &^= flagUnwritten
	return s.dropUnwritten(io)
}
