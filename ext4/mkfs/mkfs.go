package mkfs

import (
	"errors"
	"syscall"

	"ext4img/aio"
	"ext4img/ext4/layout"
)

// A builder holds the file system that is being made: the data kept in memory until the end, and the device for the
// rest.
type builder struct {
	o       Options
	dev     aio.Device // nil: this only checks
	super   layout.Superblock
	g       *layout.Geometry
	log     uint64 // length of the journal in blocks; 0: none
	space   *space
	descs   []byte
	records map[layout.Ino]layout.Inode // inodes in use that have a record
	dirs    map[layout.Ino]bool         // those that are directories
	next    layout.Ino                  // the next free inode
}

// Check reports whether Make would accept the options for a device of size bytes. Callers use it before they give up
// what the device holds.
func Check(size int64, o Options) error {
	b, err := newBuilder(size, o)
	if err != nil {
		return err
	}
	b.o.Zeroed = true
	return b.makeFiles()
}

// Make makes a file system. It returns the errors of Check before the first write.
func Make(dev aio.Device, o Options) error {
	if err := Check(dev.Size(), o); err != nil {
		return err
	}
	b, err := newBuilder(dev.Size(), o)
	if err != nil {
		return err
	}
	b.dev = dev
	return b.build()
}

func newBuilder(size int64, o Options) (*builder, error) {
	o, err := o.complete(size)
	if err != nil {
		return nil, err
	}
	if err = o.try(); errors.Is(err, syscall.ENOSPC) {
		return nil, &TooSmallError{Bytes: o.size(), BlockSize: o.BlockSize, Inodes: o.Inodes, Need: o.smallest()}
	}
	if err != nil {
		return nil, err
	}
	return newPlan(o)
}

// newPlan places the tables of a file system with options that are complete.
func newPlan(o Options) (*builder, error) {
	b := &builder{o: o, records: make(map[layout.Ino]layout.Inode), dirs: make(map[layout.Ino]bool)}
	if err := b.plan(); err != nil {
		return nil, err
	}
	b.space, b.descs, b.next = newSpace(b.g), make([]byte, int(b.g.Groups)*b.g.DescSize), b.g.FirstIno
	return b, b.placeTables()
}

// build writes everything; the superblock comes last.
func (b *builder) build() error {
	return inOrder(b.wipe, b.countOverhead, b.makeFiles, b.writeInodes, b.writeGroups, b.writeDescs, b.dev.Flush, b.writeSupers, b.dev.Flush)
}

// makeFiles allocates and writes the files that a new file system has: here it turns out if they do not fit.
func (b *builder) makeFiles() error {
	return inOrder(b.makeJournal, b.makeResize, b.makeRoot, b.makeOrphanFile, b.makeQuota, b.makeMMP)
}

// inOrder takes steps until one fails.
func inOrder(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// nextIno returns the next inode that is neither reserved nor in use.
func (b *builder) nextIno() layout.Ino {
	b.next++
	return b.next - 1
}

// desc is a group's descriptor.
func (b *builder) desc(group layout.Group) layout.Desc {
	off := int(group) * b.g.DescSize
	return layout.Desc(b.descs[off : off+b.g.DescSize : off+b.g.DescSize])
}

// countOverhead sets s_overhead_clusters, the clusters that no file can use: the boot block, superblocks,
// descriptors, tables and everything else in use so far, and the blocks of the log.
func (b *builder) countOverhead() error {
	n := b.g.FirstDataBlock + uint32(b.space.roundUp(b.log)/b.space.ratio())
	scratch := make([]byte, b.g.BlockSize)
	for group := range b.g.Groups {
		n += b.space.bitmap(group, scratch)
	}
	b.super.SetOverheadClusters(n)
	return nil
}
