package volume

import (
	"fmt"
	"io"

	"ext4img/aio"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// ground holds the primary superblock of a device and what follows from it.
type ground struct {
	dev   aio.Device
	geo   *layout.Geometry
	super layout.Superblock
	ref   journal.Ref // reference to the superblock

	readOnly bool
}

// readGround reads the primary superblock and checks whether it is usable. Callers verify its checksum.
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
	return ground{dev, geo, s, ref, readOnly}, nil
}

// dirty reports whether the log must be recovered.
func (g ground) dirty() bool {
	return hasLog(g.super) && g.super.FeatureIncompat()&layout.IncompatRecover != 0
}

func hasLog(s layout.Superblock) bool { return s.FeatureCompat()&layout.CompatHasJournal != 0 }

func (g ground) hasMMP() bool { return g.geo.Incompat&layout.IncompatMMP != 0 }

// tornMark reports whether a superblock with a wrong checksum was torn between its two sectors while the mark of use
// was written. Then one half has the mark while the checksum in the other half is that of a superblock without it, or
// the other way round.
func tornMark(s layout.Superblock) bool {
	other := append(layout.Superblock(nil), s...)
	if hasLog(s) {
		other.SetFeatureIncompat(s.FeatureIncompat() ^ layout.IncompatRecover)
	} else {
		other.SetState(s.State() ^ layout.StateClean)
	}
	return other.VerifyChecksum() == nil
}

// mendSuper corrects the checksum of a superblock that was torn while the mark was written. If it was torn in a
// checkpoint, the recovery has replaced it already.
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

// tornSuper is the type of a superblock of which only the checksum may be wrong.
type tornSuper struct{ layout.SuperType }

// Verify checks only the structure.
func (t tornSuper) Verify(p []byte) error { return t.Check(p) }

// The mark of use says in the superblock on disk that the file system is in use: with a journal it is needs_recovery,
// without one a missing "clean" in s_state. The journal has the mark written before the first handle. So every logged
// copy of the superblock carries it, and an Open without changes writes nothing.

// setInUse sets the mark in a superblock.
func setInUse(s layout.Superblock) {
	if hasLog(s) {
		s.SetFeatureIncompat(s.FeatureIncompat() | layout.IncompatRecover)
	} else {
		s.SetState(s.State() &^ layout.StateClean)
	}
}

// activate writes the mark home: without needs_recovery, a kernel would wipe the log.
func (v *Volume) activate() error {
	v.marked.Store(true)
	err := v.updateSuper(setInUse)
	if err != nil {
		return fmt.Errorf("superblock: mark as in use: %w", err)
	}
	return nil
}

// markClean removes the mark from the superblock, after everything is home and the log is empty. It changes nothing
// else (see tornMark).
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

// updateSuper changes the superblock at home, outside the log.
func (v *Volume) updateSuper(fn func(s layout.Superblock)) error {
	return journal.UpdateHome(v.Dev, v.Geo.BlockSize, v.superRef, func(p []byte) error {
		fn(layout.Superblock(p))
		return nil
	})
}
