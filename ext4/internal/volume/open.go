package volume

import (
	"errors"
	"fmt"

	"ext4img/aio"
	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Open opens the file system on a device. A journal that needs recovery is recovered first: on the device, or, for
// Options.ReadOnly, in memory over it. Finish must follow. An Open that is refused has written nothing; it does not close
// the device.
//
// A file system with an incompatible feature that is not known here is refused; one with an unknown read-only
// compatible feature can be opened for reading only. One whose metadata overlap each other is refused for writing.
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

// overlay is a device in memory over another one, or nil over nil.
func overlay(dev aio.Device) aio.Device {
	if dev == nil {
		return nil
	}
	return aio.NewOverlay(dev)
}

// rehearse opens the file system in memory, over the device: what would be refused in the end is refused before anything
// is written.
func rehearse(dev aio.Device, o Options) error {
	o.Journal, o.CommitInterval = overlay(o.Journal), 0
	_, err := prepare(overlay(dev), o, nil)
	return err
}

// prepare recovers the log and starts the file system. Where nothing has to be recovered it writes nothing.
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
		v.warn(fmt.Errorf("free counts: %w", err)) // reading does without
	}
	return v, nil
}

// start opens the journal for changes and puts the packages over it.
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
	m.guard(j)
	return v, nil
}

// protect makes known which blocks no file may have: the metadata of all groups, the log, the block of multi-mount
// protection. A file system in which they overlap is refused: a change of one would be a change of the other.
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

// recount puts right what a kernel leaves to the next mount: the totals of the superblock, and whether the orphan file
// has entries. A file system that is open for reading only is in memory by then.
func (v *Volume) recount() error {
	_, err := v.update(orphanCredits, func(h *journal.Handle) error {
		if err := v.Space.Recount(h); err != nil {
			return err
		}
		return v.Inodes.OrphansDone(h)
	})
	return err
}
