package journal

import (
	"fmt"

	"ext4img/aio"
	"ext4img/journal/buf"
)

// writeHome writes a handle's changes where there is no journal. The order keeps what a crash leaves as small as one
// handle: new objects first and flushed, so that nothing points to old bytes; then the others as the handle touched
// them. Durable after the next commit.
func (j *Journal) writeHome(changed []*held) error {
	fresh := false
	for _, k := range changed {
		if k.created() {
			fresh = true
			if err := j.writeBlock(k.b.Block, k.b.Data); err != nil {
				return err
			}
		}
	}
	if fresh {
		if err := j.cfg.Device.Flush(); err != nil {
			return err
		}
	}
	for _, k := range changed {
		if !k.created() {
			if err := j.writeBlock(k.b.Block, k.b.Data); err != nil {
				return err
			}
		}
	}
	return nil
}

// created reports whether the whole block is new.
func (k *held) created() bool {
	for i := range k.edits {
		if e := &k.edits[i]; e.created && e.ref.Len == len(k.b.Data) {
			return true
		}
	}
	return false
}

// writeBlock writes whole blocks home.
func (j *Journal) writeBlock(block uint64, p []byte) error {
	if _, err := j.cfg.Device.WriteAt(p, int64(block)*int64(j.cfg.BlockSize)); err != nil {
		return fmt.Errorf("block %d: %w", block, err)
	}
	j.stats.home.Add(uint64(len(p) / j.cfg.BlockSize))
	return nil
}

// UpdateHome changes one object in place, outside any log: read, verify, edit, check, seal, write, flush. It is for
// the few bits that say how the log itself is to be treated, while no journal is open or from Config.Activate.
func UpdateHome(dev aio.Device, blockSize int, r buf.Ref, edit func([]byte) error) error {
	if !r.In(blockSize) || r.Block >= uint64(dev.Size())/uint64(blockSize) {
		return fmt.Errorf("%v: beyond the device: %w", r, ErrCorrupt)
	}
	data := buf.Aligned(blockSize, dev.Align())
	off := int64(r.Block) * int64(blockSize)
	if err := readFull(dev, data, off); err != nil {
		return fmt.Errorf("%v: %w", r, err)
	}
	p := data[r.Off : r.Off+r.Len : r.Off+r.Len]
	if err := r.Type.Verify(p); err != nil {
		return fmt.Errorf("%v: %w", r, err)
	}
	if err := edit(p); err != nil {
		return err
	}
	if err := r.Type.Check(p); err != nil {
		return fmt.Errorf("%v: %w", r, err)
	}
	r.Type.Seal(p)
	if _, err := dev.WriteAt(data, off); err != nil {
		return fmt.Errorf("%v: %w", r, err)
	}
	return dev.Flush()
}
