package ext4

import (
	"fmt"
	"slices"
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// inUse judges an inode that a name leads to, or that a caller has the number of. One that is free is no file, nor is
// one of the file system's own, which no name leads to in a sound file system. One without links is in use as long as
// somebody has it open.
func (f *FS) inUse(r journal.Reader, ino layout.Ino) error {
	rec, err := f.inodes.Read(r, ino)
	switch {
	case err != nil:
		return err
	case ino < f.geo.FirstIno && ino != layout.RootIno, slices.Contains(f.own, ino), rec.HasFlag(layout.FlagEAInode):
		return layout.Corruptf("inode %d: the file system's own, and has a name", ino)
	case rec.Links() > 0 && rec.Type() == 0:
		return layout.Corruptf("inode %d: mode %#o: of no type", ino, rec.Mode())
	case rec.Links() > 0:
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.nodes[ino] == nil {
		return &alias{fmt.Errorf("inode %d: it is free: %w", ino, syscall.ESTALE), ErrCorrupt}
	}
	return nil
}

// ownInodes are those of the file system itself besides the reserved numbers.
func ownInodes(s layout.Superblock) (own []layout.Ino) {
	if s.FeatureROCompat()&layout.ROCompatQuota != 0 {
		own = append(own, layout.Ino(s.UsrQuotaInum()), layout.Ino(s.GrpQuotaInum()), layout.Ino(s.PrjQuotaInum()))
	}
	if s.FeatureCompat()&layout.CompatOrphanFile != 0 {
		own = append(own, layout.Ino(s.OrphanFileInum()))
	}
	return own
}
