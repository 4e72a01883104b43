package mkfs

import "ext4img/ext4/layout"

const (
	lostFoundName  = "lost+found"
	lostFoundBytes = 16 << 10 // size of lost+found, so that e2fsck need not allocate
	lostFoundMax   = 12       // blocks
)

// makeRoot makes the root directory, and lost+found in it as the first inode that is not reserved.
func (b *builder) makeRoot() error {
	root := b.newFile(layout.RootIno, layout.ModeDir|0o755, 3)
	goal := b.tablesEnd()
	if err := b.allocate(root, goal, 1); err != nil {
		return err
	}
	lost := b.newFile(b.nextIno(), layout.ModeDir|0o700, 2)
	n := max(2, lostFoundBytes/b.g.BlockSize)
	if err := b.allocate(lost, goal, uint64(min(n, lostFoundMax))); err != nil {
		return err
	}
	format := b.g.DirFormat(false, false)
	names := []layout.Dirent{
		{Ino: layout.RootIno, Type: layout.FTDir, Name: []byte(".")},
		{Ino: layout.RootIno, Type: layout.FTDir, Name: []byte("..")},
		{Ino: lost.ino, Type: layout.FTDir, Name: []byte(lostFoundName)},
	}
	if err := b.dirBlock(root, 0, func(p []byte) { format.Pack(p, names) }); err != nil {
		return err
	}
	for l := range lost.rec.Size() / uint64(b.g.BlockSize) {
		fill := format.Clear
		if l == 0 {
			fill = func(p []byte) { format.DotEntries(p, lost.ino, layout.RootIno) }
		}
		if err := b.dirBlock(lost, l, fill); err != nil {
			return err
		}
	}
	b.dirs[layout.RootIno], b.dirs[lost.ino] = true, true
	return nil
}

// dirBlock writes one block of a directory; fill writes its entries.
func (b *builder) dirBlock(f *file, l uint64, fill func([]byte)) error {
	p := make([]byte, b.g.BlockSize)
	t := layout.DirBlockType{G: b.g, Ino: f.ino, Lblk: layout.Lblk(l)}
	fill(t.Area(p))
	t.Seal(p)
	return b.write(f.block(l), p)
}

// tablesEnd is the block after the inode table of group 0. The first files begin there.
func (b *builder) tablesEnd() uint64 {
	return uint64(b.desc(0).InodeTable()) + uint64(b.g.InodeTableBlocks())
}
