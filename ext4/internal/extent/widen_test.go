package extent

import (
	"errors"
	"syscall"
	"testing"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// TestWiden asks what can be converted when there is no block for the tree. The map is in the root, which holds 4
// extents, of a file of 100 blocks.
func TestWiden(t *testing.T) {
	for _, c := range []struct {
		written  []layout.Lblk // before
		lblk     layout.Lblk
		n        uint32
		limit    layout.Lblk
		from, to layout.Lblk
		err      error
	}{
		{nil, 50, 1, 100, 50, 51, nil},                        // 3 extents
		{nil, 0, 100, 100, 0, 100, nil},                       // the whole
		{[]layout.Lblk{10}, 50, 1, 100, 11, 51, nil},          // 3 extents if widened before it, 4 if after it
		{[]layout.Lblk{10}, 80, 1, 100, 80, 100, nil},         // less to clear after it
		{[]layout.Lblk{10}, 80, 1, 99, 11, 81, nil},           // but that is beyond the end of the file
		{[]layout.Lblk{10}, 11, 1, 12, 11, 12, nil},           // joins
		{[]layout.Lblk{10}, 9, 1, 100, 9, 10, nil},            // joins
		{[]layout.Lblk{10}, 5, 1, 100, 5, 10, nil},            // joins if widened after it
		{[]layout.Lblk{10}, 3, 1, 100, 0, 4, nil},             // 4 extents
		{[]layout.Lblk{0, 50}, 75, 1, 100, 51, 76, nil},       // the root is full
		{[]layout.Lblk{0, 50}, 76, 1, 100, 51, 77, nil},       // less to clear after it, but that needs a fifth extent
		{[]layout.Lblk{0, 50}, 25, 1, 100, 1, 26, nil},        // joins to the left
		{[]layout.Lblk{0, 50}, 26, 1, 100, 26, 50, nil},       // joins to the right
		{[]layout.Lblk{10}, 10, 1, 100, 0, 0, syscall.EINVAL}, // written
		{[]layout.Lblk{10}, 8, 4, 100, 0, 0, syscall.EINVAL},  // more than one extent
		{nil, 95, 6, 100, 0, 0, syscall.EINVAL},               // beyond the extent
		{nil, 5, 0, 100, 0, 0, syscall.EINVAL},                // nothing
		{nil, 200, 1, 300, 0, 0, syscall.EINVAL},              // a hole
	} {
		w := newWorld(t, mke2fs(t, "16M", "-b", "1024"), 0)
		w.setSize(t, 100)
		w.allocateAll(t, 0, 100, true)
		for _, l := range c.written {
			w.Must(t, func(h *journal.Handle) error { return w.m.Convert(h, w.ino, l, 1, false) })
		}
		v := w.J.View()
		m, err := w.m.Open(v, w.ino)
		if err != nil {
			t.Fatal(err)
		}
		from, to, err := m.Widen(c.lblk, c.n, c.limit)
		v.Close()
		if !errors.Is(err, c.err) || err == nil && (from != c.from || to != c.to) {
			t.Errorf("%v written, %d+%d of %d: [%d, %d), %v; want [%d, %d), %v", c.written, c.lblk, c.n, c.limit, from, to, err, c.from, c.to, c.err)
		}
	}
}
