package volume

import (
	"fmt"
	"io"

	"ext4img/aio"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// ground is what the primary superblock says of the file system on a device.
type ground struct {
	dev   aio.Device
	geo   *layout.Geometry
	super layout.Superblock
	ref   journal.Ref // of the superblock
}

// readGround reads the primary superblock and judges whether it can be worked with. It leaves the checksum to its callers.
func readGround(dev aio.Device, readOnly bool) (g ground, err error) {
	p := make([]byte, layout.SuperSize)
	if n, err := dev.ReadAt(p, layout.SuperOffset); err != nil && !(err == io.EOF && n == len(p)) {
		if dev.Size() < layout.SuperOffset+layout.SuperSize {
			return g, layout.Corruptf("superblock: the device has %d bytes: not an ext2, ext3 or ext4 file system", dev.Size())
		}
		return g, fmt.Errorf("superblock: %w", err)
	}
	s, err := layout.ParseSuperblock(p)
	if err != nil {
		return g, err
	}
	if s.FeatureIncompat()&layout.IncompatJournalDev != 0 {
		return g, layout.Unsupportedf("superblock: this is an external journal, not a file system")
	}
	if bad := s.FeatureIncompat() &^ layout.KnownIncompat; bad != 0 {
		return g, layout.Unsupportedf("superblock: incompatible feature %s", bad)
	}
	geo, err := layout.NewGeometry(s)
	if err != nil {
		return g, err
	}
	if bad := geo.UnsupportedCreator(); bad != 0 && !readOnly {
		return g, layout.Unsupportedf("superblock: made for the Hurd, feature %s allows reading only", bad)
	}
	if bad := geo.ReadOnlyFeatures(); bad != 0 && !readOnly {
		return g, layout.Unsupportedf("superblock: feature %s allows reading only", bad)
	}
	if need := int64(geo.Blocks) * int64(geo.BlockSize); need > dev.Size() {
		return g, layout.Corruptf("superblock: the file system has %d bytes, the device %d: truncated", need, dev.Size())
	}
	off := layout.SuperOffset % geo.BlockSize
	ref := journal.Ref{Block: uint64(layout.SuperOffset / geo.BlockSize), Off: off, Len: layout.SuperSize, Type: layout.SuperType{}}
	return ground{dev, geo, s, ref}, nil
}

// dirty tells whether the log has to be recovered.
func (g ground) dirty() bool {
	return hasLog(g.super) && g.super.FeatureIncompat()&layout.IncompatRecover != 0
}

func hasLog(s layout.Superblock) bool { return s.FeatureCompat()&layout.CompatHasJournal != 0 }

func (g ground) hasMMP() bool { return g.geo.Incompat&layout.IncompatMMP != 0 }

// tornMark tells whether a superblock whose checksum is wrong was torn between its two sectors while the mark of
// being in use was written: one half has the mark, the checksum in the other is that of a superblock without, or the
// other way round.
func tornMark(s layout.Superblock) bool {
	other := append(layout.Superblock(nil), s...)
	if hasLog(s) {
		other.SetFeatureIncompat(s.FeatureIncompat() ^ layout.IncompatRecover)
	} else {
		other.SetState(s.State() ^ layout.StateClean)
	}
	return other.VerifyChecksum() == nil
}

// mendSuper puts the checksum of a superblock right that was torn while the mark was written. A superblock torn in a
// checkpoint has been replaced by the recovery.
func mendSuper(dev aio.Device, readOnly bool) error {
	g, err := readGround(dev, readOnly)
	if err != nil {
		return err
	}
	bad := g.super.VerifyChecksum()
	if bad == nil {
		return nil
	}
	if !tornMark(g.super) {
		return bad
	}
	ref := g.ref
	ref.Type = tornSuper{}
	return journal.UpdateHome(dev, g.geo.BlockSize, ref, func([]byte) error { return nil })
}

// tornSuper is a superblock of which only the checksum may be wrong.
type tornSuper struct{ layout.SuperType }

// Verify looks at the structure alone.
func (t tornSuper) Verify(p []byte) error { return t.Check(p) }

// The mark of use is how the superblock on disk says that the file system is in use: with a journal by needs_recovery,
// without one by the missing "clean" in s_state. The journal has the mark written before the first handle, so that
// every logged copy of the superblock carries it, and an open that changes nothing writes nothing.

// setInUse puts the mark into a superblock.
func setInUse(s layout.Superblock) {
	if hasLog(s) {
		s.SetFeatureIncompat(s.FeatureIncompat() | layout.IncompatRecover)
	} else {
		s.SetState(s.State() &^ layout.StateClean)
	}
}

// activate writes the mark home: the kernel wipes a log without needs_recovery.
func (v *Volume) activate() error {
	v.marked.Store(true)
	err := v.updateSuper(setInUse)
	if err != nil {
		return fmt.Errorf("superblock: mark as in use: %w", err)
	}
	return nil
}

// markClean takes the mark, and nothing else (see tornMark), off the superblock, when everything is home and the log is empty.
func (v *Volume) markClean() error {
	if !v.marked.Load() {
		return nil
	}
	err := v.updateSuper(func(s layout.Superblock) {
		s.SetFeatureIncompat(s.FeatureIncompat() &^ layout.IncompatRecover)
		if v.wasClean {
			s.SetState(s.State() | layout.StateClean)
		}
	})
	if err != nil {
		return fmt.Errorf("superblock: mark as clean: %w", err)
	}
	v.marked.Store(false)
	return nil
}

// updateSuper changes the superblock at home, past the log.
func (v *Volume) updateSuper(fn func(s layout.Superblock)) error {
	return journal.UpdateHome(v.Dev, v.Geo.BlockSize, v.superRef, func(p []byte) error {
		fn(layout.Superblock(p))
		return nil
	})
}
