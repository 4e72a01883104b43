// Package bare opens a file system in memory for tests of the packages in ext4/internal, up to the layer below them:
// device, geometry, journal. It imports none of those packages, so that each can use it in its own tests:
//
//	type world struct {
//		*bare.FS
//		inodes *inode.Table
//	}
package bare

import (
	"errors"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/judge"
)

// T is what testing.TB and rapid.T have in common.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
}

// FS is a file system with its journal open, through which its metadata is read and changed.
type FS struct {
	Dev *simdev.Device
	G   *layout.Geometry
	J   *journal.Journal

	Config  journal.Config // used by Open; without Log, handles write home when they stop
	Credits int            // credits of each handle that Do starts
	Resting error          // the error after which Do commits and tries again, if any
}

// New opens a copy of an image.
func New(t T, image *simdev.Image) *FS {
	t.Helper()
	f, err := Parse(simdev.FromImage(image.Clone()))
	if err != nil {
		t.Fatalf("%v", err)
	}
	f.Open(t)
	return f
}

// Parse reads the geometry of a device, and does not open its journal yet.
func Parse(dev *simdev.Device) (*FS, error) {
	super := make([]byte, layout.SuperSize)
	if _, err := dev.ReadAt(super, layout.SuperOffset); err != nil {
		return nil, err
	}
	s, err := layout.ParseSuperblock(super)
	if err != nil {
		return nil, err
	}
	g, err := layout.NewGeometry(s)
	return &FS{Dev: dev, G: g, Credits: 64}, err
}

// Open opens the journal, for the first time or again.
func (f *FS) Open(t T) {
	t.Helper()
	c := f.Config
	c.Device, c.BlockSize, c.Blocks = f.Dev, f.G.BlockSize, f.G.Blocks
	var err error
	if f.J, err = journal.Open(c); err != nil {
		t.Fatalf("journal: %v", err)
	}
}

// Do runs fn in a handle of its own. If fn fails, it cancels the handle.
func (f *FS) Do(t T, fn func(h *journal.Handle) error) error {
	t.Helper()
	credits := f.Credits
	for range 3 {
		h, err := f.J.Start(credits)
		if err != nil {
			t.Fatalf("start: %v", err)
		}
		if err = fn(h); err == nil {
			if _, err := h.Stop(); err != nil {
				t.Fatalf("stop: %v", err)
			}
			return nil
		}
		h.Cancel()
		switch {
		case errors.Is(err, journal.ErrNoCredits):
			credits = journal.Whole
		case f.Resting == nil || !errors.Is(err, f.Resting):
			return err
		}
		if err := f.J.CommitAll(); err != nil {
			t.Fatalf("commit: %v", err)
		}
	}
	return f.Resting
}

// Must is Do for changes that must succeed: an error ends the test.
func (f *FS) Must(t T, fn func(h *journal.Handle) error) {
	t.Helper()
	if err := f.Do(t, fn); err != nil {
		t.Fatalf("%v", err)
	}
}

// View runs fn on a view.
func (f *FS) View(fn func(r journal.Reader)) {
	v := f.J.View()
	defer v.Close()
	fn(v)
}

// Save closes the journal and writes the image to a file.
func (f *FS) Save(t testing.TB) string {
	t.Helper()
	if err := f.J.Close(); err != nil {
		t.Fatal(err)
	}
	return judge.Save(t, f.Dev)
}
