package ext4

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"ext4img/aio"
	"ext4img/aio/block"
)

// TestCapabilitiesEndWithAChange: whatever changes a file takes its capabilities away; what does not leaves them.
// TestModelLikeKernel asks the kernel about the same.
func TestCapabilitiesEndWithAChange(t *testing.T) {
	img := newImage(t, "16M", "-t", "ext4")
	fs, dev := openImage(t, img, Options{})
	f, err := fs.OpenFile("/program", os.O_RDWR|os.O_CREATE, 0o755)
	must(t, err)
	q, err := fs.NewQueue(4)
	must(t, err)
	value := append([]byte{1, 0, 0, 2}, make([]byte, 16)...)
	page := block.Aligned(4096, 4096)
	queued := func(op aio.Op) error {
		if err := q.Submit(&Request{File: f, Op: op, Buf: page}); err != nil {
			return err
		}
		done, err := q.Reap(1)
		return errors.Join(err, done[0].Err)
	}
	for _, c := range []struct {
		name   string
		change func() error
		ends   bool
	}{
		{"write", func() error { _, err := f.WriteAt(page, 0); return err }, true},
		{"queued write", func() error { return queued(OpWrite) }, true},
		{"truncate", func() error { return f.Truncate(4096) }, true},
		{"fallocate", func() error { return f.Fallocate(0, 0, 65536) }, true},
		{"chown", func() error { return fs.Chown("/program", -1, -1) }, true},
		{"read", func() error { return queued(OpRead) }, false},
		{"chmod", func() error { return fs.Chmod("/program", 0o700) }, false},
		{"rename", func() error { return fs.Rename("/program", "/program", 0) }, false},
		{"sync", f.Sync, false},
	} {
		must(t, fs.SetXattr("/program", XattrCapability, value, 0, true))
		must(t, c.change())
		_, err := fs.Xattr("/program", XattrCapability, true)
		if ended := errors.Is(err, ErrNoXattr); ended != c.ends {
			t.Errorf("after %s: %v", c.name, err)
		}
	}
	if err := fs.SetXattr("/program", XattrCapability, value[:19], 0, true); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("capabilities of 19 bytes: %v", err)
	}
	must(t, errors.Join(q.Close(), f.Close()))
	closeImage(t, fs, dev)
	judged(t, img)
}
