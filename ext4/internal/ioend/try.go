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

// Overwrites says that the blocks of a write begun as unwritten, and not submitted yet, turned out to be written
// already. The write then has nothing to convert, no flush waits for it any more, and Complete ends it.
func (in *Inode) Overwrites(io *IOEnd) {
	in.mu.Lock()
	defer in.mu.Unlock()
	wake := in.s.overwrites(io)
	in.unwritten.Store(int64(in.s.unwritten))
	if wake {
		in.cond.Broadcast()
	}
}

// overwrites removes a write from the unwritten count. It reports whether a flush may have waited for it.
func (s *state) overwrites(io *IOEnd) (wake bool) {
	io.must("found to overwrite")
	if io.flags&flagUnwritten == 0 {
		return false
	}
	io.flags &^= flagUnwritten
	return s.dropUnwritten(io)
}
