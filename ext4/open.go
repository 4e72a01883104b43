package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"ext4img/aio"
	"ext4img/ext4/internal/dir"
	"ext4img/ext4/internal/extent"
	"ext4img/ext4/internal/group"
	"ext4img/ext4/internal/inode"
	"ext4img/ext4/internal/quota"
	"ext4img/ext4/internal/xattr"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Open opens the file system on a device. A journal that needs recovery is recovered first: on the device, or, for
// Options.ReadOnly, in memory over it. Orphans are deleted or truncated if the file system is opened for writing; one
// that is damaged is left as it is, and Warnings names it.
//
// A file system with an incompatible feature that is not known here is refused; one with an unknown read-only
// compatible feature can be opened for reading only. One whose metadata overlap each other is refused for writing. An
// Open that is refused has written nothing. Open does not close the device when it fails.
func Open(dev aio.Device, o Options) (*FS, error) {
	fs := &FS{dev: dev, readOnly: o.ReadOnly, nodes: make(map[layout.Ino]*node), queues: make(map[*Queue]bool)}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if err := fs.open(o); err != nil {
		return nil, fmt.Errorf("open: %w", kind(errors.Join(err, fs.releaseMMP())))
	}
	return fs, nil
}

func (fs *FS) open(o Options) error {
	s, err := fs.readSuper()
	if err != nil {
		return err
	}
	bad := s.VerifyChecksum()
	if bad != nil && !dirty(s) && !tornMark(s) {
		return bad
	}
	inMemory := dirty(s) || bad != nil
	switch {
	case fs.readOnly && inMemory:
		fs.dev = aio.NewOverlay(fs.dev)
		if o.Journal != nil {
			o.Journal = aio.NewOverlay(o.Journal)
		}
	case inMemory || fs.geo.Incompat&layout.IncompatMMP != 0:
		if err := fs.rehearse(o); err != nil {
			return err
		}
	}
	if err := fs.holdMMP(s); err != nil {
		return err
	}
	if err := fs.prepare(o); err != nil {
		return err
	}
	defer fs.space.SetPool(group.PoolSize(fs.geo))
	if fs.readOnly {
		return nil
	}
	if err := fs.finish(); err != nil {
		return errors.Join(err, fs.j.Close())
	}
	return nil
}

// rehearse opens the file system in memory, over the device: what would be refused in the end is refused before anything
// is written.
func (fs *FS) rehearse(o Options) error {
	r := &FS{dev: aio.NewOverlay(fs.dev), nodes: make(map[layout.Ino]*node), queues: make(map[*Queue]bool)}
	if o.Journal != nil {
		o.Journal = aio.NewOverlay(o.Journal)
	}
	o.CommitInterval = 0
	return r.prepare(o)
}

// prepare recovers the log and starts the file system. Where nothing has to be recovered it writes nothing.
func (fs *FS) prepare(o Options) error {
	s, err := fs.readSuper()
	if err != nil {
		return err
	}
	if dirty(s) {
		if err := fs.recover(s, o); err != nil {
			return err
		}
	}
	if err := fs.mendSuper(); err != nil {
		return err
	}
	if err := fs.replayFast(o); err != nil {
		return err
	}
	if err := fs.startLogged(o); err != nil {
		return err
	}
	if fs.recovery == nil {
		return nil
	}
	err = fs.recount()
	if err != nil && fs.readOnly {
		fs.warn(fmt.Errorf("free counts: %w", err)) // reading does without
		return nil
	}
	return err
}

// tornMark tells whether a superblock whose checksum is wrong was torn between its two sectors while the mark of
// being in use was written: one half has the mark, the checksum in the other is that of a superblock without, or the
// other way round.
func tornMark(s layout.Superblock) bool {
	other := append(layout.Superblock(nil), s...)
	if s.FeatureCompat()&layout.CompatHasJournal != 0 {
		other.SetFeatureIncompat(s.FeatureIncompat() ^ layout.IncompatRecover)
	} else {
		other.SetState(s.State() ^ layout.StateClean)
	}
	return other.VerifyChecksum() == nil
}

// mendSuper puts the checksum of a superblock right that was torn while the mark was written. A superblock torn in a
// checkpoint has been replaced by the recovery.
func (fs *FS) mendSuper() error {
	s, err := fs.readSuper()
	if err != nil {
		return err
	}
	bad := s.VerifyChecksum()
	if bad == nil {
		return nil
	}
	if !tornMark(s) {
		return bad
	}
	ref := fs.superRef
	ref.Type = tornSuper{}
	return journal.UpdateHome(fs.dev, fs.geo.BlockSize, ref, func([]byte) error { return nil })
}

// tornSuper is a superblock of which only the checksum may be wrong.
type tornSuper struct{ layout.SuperType }

// Verify looks at the structure alone.
func (t tornSuper) Verify(p []byte) error { return t.Check(p) }

// readSuper reads the primary superblock from the device and judges whether it can be worked with. It leaves the
// checksum to its callers.
func (fs *FS) readSuper() (layout.Superblock, error) {
	p := make([]byte, layout.SuperSize)
	if n, err := fs.dev.ReadAt(p, layout.SuperOffset); err != nil && !(err == io.EOF && n == len(p)) {
		if fs.dev.Size() < layout.SuperOffset+layout.SuperSize {
			return nil, layout.Corruptf("superblock: the device has %d bytes: not an ext2, ext3 or ext4 file system", fs.dev.Size())
		}
		return nil, fmt.Errorf("superblock: %w", err)
	}
	s, err := layout.ParseSuperblock(p)
	if err != nil {
		return nil, err
	}
	if s.FeatureIncompat()&layout.IncompatJournalDev != 0 {
		return nil, layout.Unsupportedf("superblock: this is an external journal, not a file system")
	}
	if bad := s.FeatureIncompat() &^ layout.KnownIncompat; bad != 0 {
		return nil, layout.Unsupportedf("superblock: incompatible feature %s", bad)
	}
	if fs.geo, err = layout.NewGeometry(s); err != nil {
		return nil, err
	}
	if bad := fs.geo.UnsupportedCreator(); bad != 0 && !fs.readOnly {
		return nil, layout.Unsupportedf("superblock: made for the Hurd, feature %s allows reading only", bad)
	}
	if bad := fs.geo.ReadOnlyFeatures(); bad != 0 && !fs.readOnly {
		return nil, layout.Unsupportedf("superblock: feature %s allows reading only", bad)
	}
	if need := int64(fs.geo.Blocks) * int64(fs.geo.BlockSize); need > fs.dev.Size() {
		return nil, layout.Corruptf("superblock: the file system has %d bytes, the device %d: truncated", need, fs.dev.Size())
	}
	off := layout.SuperOffset % fs.geo.BlockSize
	fs.superRef = journal.Ref{Block: uint64(layout.SuperOffset / fs.geo.BlockSize), Off: off, Len: layout.SuperSize, Type: layout.SuperType{}}
	return s, nil
}

// dirty tells whether the log has to be recovered.
func dirty(s layout.Superblock) bool {
	return s.FeatureCompat()&layout.CompatHasJournal != 0 && s.FeatureIncompat()&layout.IncompatRecover != 0
}

// recover replays the log.
func (fs *FS) recover(s layout.Superblock, o Options) error {
	area, err := fs.logArea(s, o)
	if err != nil {
		return err
	}
	fs.recovery, err = journal.Recover(fs.dev, *area)
	fs.state.marked.Store(true)
	return err
}

// logArea finds the log: on another device, or in the blocks of the journal inode.
func (fs *FS) logArea(s layout.Superblock, o Options) (*journal.Area, error) {
	ino := layout.Ino(s.JournalInum())
	if ino == 0 {
		return ExternalLog(s, o.Journal)
	}
	if o.Journal != nil {
		return nil, layout.Unsupportedf("journal: inside the file system, inode %d: no external journal wanted", ino)
	}
	return fs.internalArea(ino)
}

// internalArea reads the map of the journal inode from the device, past everything that might be cached.
func (fs *FS) internalArea(ino layout.Ino) (*journal.Area, error) {
	j, err := journal.Open(journal.Config{Device: fs.dev, BlockSize: fs.geo.BlockSize, Blocks: fs.geo.Blocks, CacheBytes: 1 << 20})
	if err != nil {
		return nil, err
	}
	v := j.View()
	defer v.Close()
	space := group.New(fs.geo, j)
	table := inode.New(space)
	rec, err := table.Read(v, ino)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if !rec.IsRegular() || rec.Links() == 0 {
		return nil, layout.Corruptf("journal: inode %d: not a file in use", ino)
	}
	blocks := (rec.Size() + uint64(fs.geo.BlockSize) - 1) / uint64(fs.geo.BlockSize)
	area := &journal.Area{BlockSize: fs.geo.BlockSize}
	var next layout.Lblk
	err = extent.New(space, table).Walk(v, ino, 0, func(e layout.Extent) (bool, error) {
		if uint64(e.Lblk) >= blocks {
			return false, nil
		}
		if e.Lblk != next || e.Unwritten {
			return false, layout.Corruptf("journal: inode %d: block %d: a hole in the log", ino, next)
		}
		next = e.Lblk + layout.Lblk(e.Len)
		area.Blocks = append(area.Blocks, journal.Run{Phys: uint64(e.Pblk), Len: e.Len})
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if uint64(next) < blocks {
		return nil, layout.Corruptf("journal: inode %d: %d blocks mapped of %d", ino, next, blocks)
	}
	return area, nil
}

// ExternalLog is the log on a device of its own: behind a superblock that carries the UUID the file system names.
func ExternalLog(s layout.Superblock, dev aio.Device) (*journal.Area, error) {
	if dev == nil {
		return nil, layout.Unsupportedf("journal: on another device, with UUID %x, which was not given", s.JournalUUID())
	}
	p := make([]byte, layout.SuperSize)
	if n, err := dev.ReadAt(p, layout.SuperOffset); n < len(p) {
		return nil, fmt.Errorf("journal: superblock of its device: %w", err)
	}
	js, err := layout.ParseSuperblock(p)
	if err == nil {
		err = js.VerifyChecksum()
	}
	if err != nil {
		return nil, fmt.Errorf("journal: its device: %w", err)
	}
	if js.FeatureIncompat()&layout.IncompatJournalDev == 0 || !bytes.Equal(js.UUID(), s.JournalUUID()) {
		return nil, layout.Corruptf("journal: its device has UUID %x, want a journal with %x", js.UUID(), s.JournalUUID())
	}
	if js.LogBlockSize() != s.LogBlockSize() || js.LogBlockSize() > 6 {
		return nil, layout.Corruptf("journal: its device: s_log_block_size %d, want %d", js.LogBlockSize(), s.LogBlockSize())
	}
	size := 1024 << js.LogBlockSize()
	first := uint64(layout.SuperOffset/size) + 1
	if js.BlocksCount() <= first || js.BlocksCount() > 1<<32-1 || int64(js.BlocksCount())*int64(size) > dev.Size() {
		return nil, layout.Corruptf("journal: its device: %d blocks in %d bytes", js.BlocksCount(), dev.Size())
	}
	run := journal.Run{Phys: 0, Len: uint32(js.BlocksCount())}
	return &journal.Area{Device: dev, BlockSize: size, Blocks: []journal.Run{run}, Super: uint32(first)}, nil
}

// logFeatures are the features that the file system asks of its log.
func logFeatures(g *layout.Geometry) (f journal.Features) {
	if g.Incompat&layout.Incompat64Bit != 0 {
		f |= journal.Feature64Bit
	}
	if g.MetadataCsum() {
		f |= journal.FeatureCsumV3
	}
	return f
}

// startLogged starts the file system with its log, as it is after recovery.
func (fs *FS) startLogged(o Options) error {
	s, err := fs.readSuper()
	if err != nil {
		return err
	}
	var log *journal.Area
	if !fs.readOnly && s.FeatureCompat()&layout.CompatHasJournal != 0 {
		if log, err = fs.logArea(s, o); err != nil {
			return err
		}
	}
	if err := fs.start(s, o, log); err != nil || fs.readOnly {
		return err
	}
	return fs.protect(s, log)
}

// protect makes known which blocks no file may have: the metadata of all groups, the log, the block of multi-mount
// protection. A file system in which they overlap is refused: a change of one would be a change of the other.
func (fs *FS) protect(s layout.Superblock, log *journal.Area) error {
	var more []group.Named
	if log != nil && log.Device == nil {
		for _, r := range log.Blocks {
			more = append(more, group.Named{Name: "journal", Run: group.Run{Start: layout.Pblk(r.Phys), Len: uint64(r.Len)}})
		}
	}
	if fs.geo.Incompat&layout.IncompatMMP != 0 {
		more = append(more, group.Named{Name: "MMP block", Run: group.Run{Start: layout.Pblk(s.MMPBlock()), Len: 1}})
	}
	v := fs.j.View()
	defer v.Close()
	return fs.space.Protect(v, more...)
}

// start opens the journal for changes and puts the packages over it.
func (fs *FS) start(s layout.Superblock, o Options, log *journal.Area) (err error) {
	fs.j, err = journal.Open(journal.Config{
		Device: fs.dev, BlockSize: fs.geo.BlockSize, Blocks: fs.geo.Blocks, CacheBytes: o.CacheBytes, Log: log,
		Activate: fs.activate, Damaged: fs.damaged, CommitInterval: o.CommitInterval, Features: logFeatures(fs.geo), Clock: o.Clock,
	})
	if err != nil {
		return err
	}
	if fs.mmp != nil {
		fs.mmp.log.Store(fs.j)
	}
	fs.state.wasClean = s.FeatureCompat()&layout.CompatHasJournal == 0 && s.State()&layout.StateClean != 0
	fs.own = ownInodes(s)
	fs.space = group.New(fs.geo, fs.j)
	fs.inodes = inode.New(fs.space)
	fs.inodes.Clock = o.Clock
	fs.extents = extent.New(fs.space, fs.inodes)
	fs.attrs = xattr.New(fs.space, fs.inodes, fs.extents)
	fs.quota = quota.New(fs.inodes, fs.extents)
	fs.dirs = dir.New(fs.inodes, fs.extents, fs.attrs)
	return nil
}
