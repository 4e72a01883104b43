package journal

import (
	"fmt"

	"ext4img/aio"
)

// A Recovery is what Recover has found and done.
type Recovery struct {
	Transactions int // committed ones in the log
	Blocks       int // written home, each once
	Revoked      int // copies in the log that were not written, because a revoke record forbids it
	First, Next  TID // the first transaction found; the next one to be written
	Errno        int32
	// Fast are the fast commits that follow the last transaction; empty if there are none. The file system applies
	// them and then calls Amend. If it wrote the changes home itself, it calls Finish instead.
	Fast []FastCommit

	dev   aio.Device
	log   *logDevice
	super super
}

// Recover writes home what the committed transactions of the log changed, and flushes. Then it marks the log empty,
// unless there are fast commits to apply.
func Recover(dev aio.Device, area Area) (*Recovery, error) {
	log, err := newLogDevice(dev, area)
	if err != nil {
		return nil, err
	}
	s, err := log.readSuper()
	if err != nil {
		return nil, err
	}
	r := &Recovery{First: s.sequence(), Next: s.sequence(), Errno: s.errno(), dev: dev, log: log, super: s}
	if s.start() == 0 {
		if r.Errno != 0 {
			return r, r.Finish()
		}
		return r, nil
	}
	found, err := scan(log, s, uint64(dev.Size())/uint64(area.BlockSize))
	if err != nil {
		return nil, err
	}
	r.Transactions, r.Revoked, r.Next = found.transactions, found.revokedCopies, found.next+1
	if r.Fast, err = readFast(log, s, found.next); err != nil {
		return nil, err
	}
	if r.Blocks, err = replay(dev, log, found.latest); err != nil {
		return nil, err
	}
	if len(r.Fast) > 0 {
		return r, nil
	}
	return r, r.Finish()
}

// Finish marks the log empty. If the caller applied fast commits, it must have made their changes durable before.
func (r *Recovery) Finish() error {
	if r.super == nil {
		return fmt.Errorf("recovery: %w", ErrClosed)
	}
	r.super.setState(0, r.Next)
	r.super.setErrno(0)
	if err := r.log.writeSuper(r.super); err != nil {
		return err
	}
	return r.log.dev.Flush()
}
