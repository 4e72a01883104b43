package journal

import (
	"fmt"
	"sync/atomic"

	"ext4img/aio/block"
	"ext4img/journal/buf"
)

// A View reads metadata while no handle runs. Many views run at once. A goroutine that holds a view must not start a
// handle and must not wait for a commit.
type View struct {
	j      *Journal
	closed atomic.Bool
	by     viewer // paranoid builds: the goroutine that began it
}

// View begins a view.
func (j *Journal) View() *View {
	j.holder.mustNotHold("View")
	j.mu.RLock()
	return &View{j: j, by: j.holder.enter()}
}

// Close ends the view.
func (v *View) Close() {
	if !v.closed.Swap(true) {
		v.j.holder.leave(v.by)
		v.j.mu.RUnlock()
	}
}

// Read returns the object, verified.
func (v *View) Read(r buf.Ref) ([]byte, error) {
	if v.closed.Load() {
		return nil, fmt.Errorf("%v: view: %w", r, ErrClosed)
	}
	return v.j.read(r)
}

func (j *Journal) inRange(r buf.Ref) error {
	if r.Block >= j.cfg.Blocks {
		return fmt.Errorf("%v: beyond the file system's %d blocks: %w", r, j.cfg.Blocks, ErrCorrupt)
	}
	if !r.In(j.cfg.BlockSize) {
		return fmt.Errorf("%v: %d bytes at %d pass the end of the block: %w", r, r.Len, r.Off, ErrCorrupt)
	}
	return nil
}

// read returns the object from memory or the device, verified. The caller holds or shares mu.
func (j *Journal) read(r buf.Ref) ([]byte, error) {
	if err := j.inRange(r); err != nil {
		return nil, err
	}
	b, verified := j.cache.Find(r)
	if b == nil {
		var err error
		if b, err = j.fetch(r.Block); err != nil {
			return nil, fmt.Errorf("%v: %w", r, err)
		}
	}
	p := b.Data[r.Off : r.Off+r.Len : r.Off+r.Len]
	if verified {
		return p, nil
	}
	if err := r.Type.Verify(p); err != nil {
		bad := &ObjectError{r, err}
		if j.cfg.Damaged != nil {
			j.cfg.Damaged(bad)
		}
		return nil, bad
	}
	j.cache.SetVerified(b, r)
	return p, nil
}

// fetch brings a block into the cache: the copy that waits for its checkpoint, or else the bytes on the device.
func (j *Journal) fetch(at uint64) (*buf.Buffer, error) {
	data := block.Aligned(j.cfg.BlockSize, j.cfg.Device.Align())
	if p, ok := j.frozen[at]; ok {
		copy(data, p)
	} else if err := readFull(j.cfg.Device, data, int64(at)*int64(j.cfg.BlockSize)); err != nil {
		return nil, err
	}
	return j.cache.Insert(at, data), nil
}
