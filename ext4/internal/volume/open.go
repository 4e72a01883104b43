package volume

import (
	"errors"
	"fmt"

	"ext4img/aio"
	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Open opens the file system on a device. If the journal needs recovery, Open first recovers it: on the device or,
// with Options.ReadOnly, in memory over it. The caller must then call Finish. If Open refuses, it has written
// nothing. It does not close the device.
//
// A file system with an unknown incompatible feature is refused. One with an unknown read-only compatible feature can
// be opened only for reading. One whose metadata overlap is refused for writing.
func Open(dev aio.Device, o Options) (*Volume, error) {
	g, err := readGround(dev, o.ReadOnly)
	if err != nil {
		return nil, err
	}
	bad := g.super.VerifyChecksum()
	if bad != nil && !g.dirty() && !tornMark(g.super) {
		return nil, bad
	}
	inMemory := g.dirty() || bad != nil
	if o.ReadOnly {
		if inMemory {
			dev, o.Journal = overlay(dev), overlay(o.Journal)
		}
		return prepare(dev, o, nil)
	}
	if inMemory || g.hasMMP() {
		if err := rehearse(dev, o); err != nil {
			return nil, err
		}
	}
	m, err := holdMMP(g)
	if err != nil {
		return nil, err
	}
	v, err := prepare(dev, o, m)
	if err != nil {
		return nil, errors.Join(err, m.release())
	}
	return v, nil
}

// overlay is an overlay in memory over a device, or nil if the device is nil.
func overlay(dev aio.Device) aio.Device {
	if dev == nil {
		return nil
	}
	return aio.NewOverlay(dev)
}

// rehearse opens the file system in memory, over the device, so that anything that would be refused in the end is
// refused before anything is written.
func rehearse(dev aio.Device, o Options) error {
	o.Journal, o.CommitInterval = overlay(o.Journal), 0
	_, err := prepare(overlay(dev), o, nil)
	return err
}

// prepare recovers the log and starts the file system. If there is nothing to recover, it writes nothing.
func prepare(dev aio.Device, o Options, m *mmp) (*Volume, error) {
	dev, rec, err := recoverLog(dev, o)
	if err != nil {
		return nil, err
	}
	g, err := readGround(dev, o.ReadOnly)
	if err != nil {
		return nil, err
	}
	var log *journal.Area
	if !o.ReadOnly && hasLog(g.super) {
		if log, err = g.logArea(o.Journal); err != nil {
			return nil, err
		}
	}
	v, err := start(g, o, log, m)
	if err != nil {
		return nil, err
	}
	if v.recovery = rec; rec != nil {
		v.marked.Store(true)
	}
	if !o.ReadOnly {
		if err := v.protect(g.super, log); err != nil {
			return nil, err
		}
	}
	if rec == nil {
		return v, nil
	}
	if err := v.recount(); err != nil {
		if !o.ReadOnly {
			return nil, err
		}
		v.warn(fmt.Errorf("free counts: %w", err)) // reading does not need them
	}
	return v, nil
}

// start opens the journal for changes and opens the packages above it.
func start(g ground, o Options, log *journal.Area, m *mmp) (*Volume, error) {
	v := &Volume{Dev: g.dev, Geo: g.geo, readOnly: o.ReadOnly, superRef: g.ref, own: ownInodes(g.super), mmp: m}
	v.wasClean = !hasLog(g.super) && g.super.State()&layout.StateClean != 0
	j, err := journal.Open(journal.Config{
		Device: g.dev, BlockSize: g.geo.BlockSize, Blocks: g.geo.Blocks, CacheBytes: o.CacheBytes, Log: log,
		Activate: v.activate, Damaged: v.damaged, CommitInterval: o.CommitInterval, Features: logFeatures(g.geo), Clock: o.Clock,
	})
	if err != nil {
		return nil, err
	}
	v.Journal, v.Layers = j, Wire(g.geo, j, o.Clock)
	v.Inodes.Lenient = o.ReadOnly
	m.guard(j)
	return v, nil
}

// protect tells Space which blocks no file may have: the metadata of all groups, the log, the block of multi-mount
// protection. If they overlap, the file system is refused, because a change of one would change another.
func (v *Volume) protect(s layout.Superblock, log *journal.Area) error {
	var more []group.Named
	if log != nil && log.Device == nil {
		for _, r := range log.Blocks {
			more = append(more, group.Named{Name: "journal", Run: group.Run{Start: layout.Pblk(r.Phys), Len: uint64(r.Len)}})
		}
	}
	if v.Geo.Incompat&layout.IncompatMMP != 0 {
		more = append(more, group.Named{Name: "MMP block", Run: group.Run{Start: layout.Pblk(s.MMPBlock()), Len: 1}})
	}
	view := v.Journal.View()
	defer view.Close()
	return v.Space.Protect(view, more...)
}

// recount corrects what a kernel leaves to the next mount: the totals of the superblock, and the feature that says
// whether the orphan file has entries. If the file system is open only for reading, it is in memory here.
func (v *Volume) recount() error {
	_, err := v.update(orphanCredits, func(h *journal.Handle) error {
		if err := v.Space.Recount(h); err != nil {
			return err
		}
		return v.Inodes.OrphansDone(h)
	})
	return err
}
