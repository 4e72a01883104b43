package journal

import (
	"fmt"

	"ext4img/aio"
)

// A Recovery is what Recover has found and done.
type Recovery struct {
	Transactions int // committed ones in the log
	Blocks       int // written home, each once
	Revoked      int // copies in the log that a revoke record kept from being written
	First, Next  TID // of the first transaction found; of the next one to be written
	Errno        int32
	// Fast are the fast commits that follow the last transaction. They are for the file system to apply, which then
	// calls Amend, or Finish when it has brought home by itself what they change. Empty if there are none.
	Fast []FastCommit

	dev   aio.Device
	log   *logDevice
	super super
}

// Recover replays the committed transactions of the log home and flushes. Unless there are fast commits to apply, it
// then marks the log empty.
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

// Finish marks the log empty. After fast commits were applied, the caller has made that durable first.
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
