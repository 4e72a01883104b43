package ext4

import (
	"fmt"
	"syscall"

	"ext4img/ext4/internal/volume"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// inUse judges an inode that a name leads to, or that a caller has the number of. One that is free is no file, nor is
// one of the file system's own, which no name leads to in a sound file system. One without links is in use as long as
// somebody has it open; and where nothing is changed, if only its count of links says that it is free.
func (f *FS) inUse(r journal.Reader, ino layout.Ino) error {
	rec, err := f.vol.Inodes.Read(r, ino)
	switch {
	case err != nil:
		return err
	case f.vol.Own(ino), rec.HasFlag(layout.FlagEAInode):
		return layout.Corruptf("inode %d: the file system's own, and has a name", ino)
	case rec.Links() > 0 && !knownType(rec.Type()):
		return layout.Corruptf("inode %d: mode %#o: of no type", ino, rec.Mode())
	case rec.Links() > 0, f.ReadOnly() && rec.Type() != 0 && rec.Dtime() == 0:
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.nodes[ino] == nil {
		return volume.Corrupt(fmt.Errorf("inode %d: it is free: %w", ino, syscall.ESTALE))
	}
	return nil
}

// knownType tells whether the type in i_mode is one of the seven that there are.
func knownType(typ uint16) bool {
	switch typ {
	case layout.ModeRegular, layout.ModeDir, layout.ModeSymlink, layout.ModeCharDev, layout.ModeBlockDev, layout.ModeFIFO, layout.ModeSocket:
		return true
	}
	return false
}
