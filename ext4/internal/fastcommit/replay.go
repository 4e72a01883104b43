// Package fastcommit applies the fast commits that follow the last full transaction of a log to a file system. It owns no
// bytes: it drives names, extent, inode and group.
package fastcommit

import (
	"errors"
	"fmt"
	"io/fs"

	"ext4img/ext4/internal/group"
	"ext4img/ext4/internal/inode"
	"ext4img/ext4/internal/names"
	"ext4img/ext4/internal/volume"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Apply applies fast commits to a file system in memory, in the order in which they were written.
func Apply(v *volume.Volume, fast []journal.FastCommit) error {
	n := names.New(v, func(layout.Ino) bool { return false })
	r := replay{Names: n, had: make(map[layout.Ino]int64)}
	return r.run(fast)
}

// replay applies fast commits. Their records name what the writer had in memory: the number of each new inode, the
// block of each new extent. Nodes of extent trees and blocks of directories are not named, and are allocated anew. So
// replay first takes all blocks and inodes that are named. It frees unmapped data last, when it is known what the
// files have in the end.
//
// A record whose inode or directory does not exist is passed over. That inode was deleted later in the same
// transaction, and the writer then dropped the record that made it.
type replay struct {
	*names.Names
	had   map[layout.Ino]int64 // the number of data clusters of each inode before it was first touched
	named []layout.Ino         // inodes that were made or have lost a link
	gone  []group.Run          // blocks that were taken at first, or unmapped
}

func (r *replay) run(fast []journal.FastCommit) error {
	if err := r.claim(fast); err != nil {
		return err
	}
	for _, c := range fast {
		for i, rec := range c.Records {
			if err := r.record(rec, c.Records[i+1:]); err != nil {
				return err
			}
		}
	}
	if err := r.settle(); err != nil {
		return err
	}
	return r.orphans()
}

// claim takes all blocks that the records name.
func (r *replay) claim(fast []journal.FastCommit) error {
	for _, c := range fast {
		for _, rec := range c.Records {
			add, ok := rec.(journal.FastAddRange)
			if !ok {
				continue
			}
			e := layout.ParseExtent(add.Extent)
			_, err := r.Update(8, func(h *journal.Handle) error {
				runs, err := r.Space.Claim(h, group.Run{Start: e.Pblk, Len: uint64(e.Len)})
				r.gone = append(r.gone, runs...)
				return err
			})
			if err != nil {
				return fmt.Errorf("inode %d: %w", add.Ino, err)
			}
		}
	}
	return nil
}

// record applies one record; rest are those that follow in the same fast commit.
func (r *replay) record(rec journal.FastRecord, rest []journal.FastRecord) error {
	switch rec := rec.(type) {
	case journal.FastAddRange:
		return r.onMap(rec.Ino, rest, func(h *journal.Handle, ino layout.Ino) error {
			return r.addRange(h, ino, layout.ParseExtent(rec.Extent))
		})
	case journal.FastDelRange:
		return r.onMap(rec.Ino, rest, func(h *journal.Handle, ino layout.Ino) error {
			to := min(uint64(rec.Lblk)+uint64(rec.Len), uint64(^layout.Lblk(0)))
			return r.unmap(h, ino, layout.Lblk(rec.Lblk), layout.Lblk(to))
		})
	case journal.FastInode:
		return r.inode(layout.Ino(rec.Ino), rec.Raw)
	case journal.FastCreate:
		return r.link(rec.Parent, rec.Ino, rec.Name, true)
	case journal.FastLink:
		return r.link(rec.Parent, rec.Ino, rec.Name, false)
	case journal.FastUnlink:
		return r.unlink(rec.Parent, rec.Ino, rec.Name)
	}
	return nil
}

// exists reads an inode's record. It returns nil if the inode is not in use.
func (r *replay) exists(v journal.Reader, ino layout.Ino) (layout.Inode, error) {
	used, err := r.Space.InodeInUse(v, ino)
	if err != nil || !used {
		return nil, err
	}
	rec, err := r.Inodes.Read(v, ino)
	if err != nil || rec.Mode() == 0 {
		return nil, err
	}
	return rec, nil
}

// parties reads the directory and the inode that a record names. It returns nil if one of them does not exist.
func (r *replay) parties(h *journal.Handle, parent, ino uint32) (rec layout.Inode, err error) {
	dir, err := r.exists(h, layout.Ino(parent))
	if err != nil || dir == nil || !dir.IsDir() {
		return nil, err
	}
	return r.exists(h, layout.Ino(ino))
}

// link adds a name. A new directory also gets its first block, and a new file the link of the name.
func (r *replay) link(parent, number uint32, name string, made bool) error {
	dir, ino := layout.Ino(parent), layout.Ino(number)
	_, err := r.Update(r.Credits(), func(h *journal.Handle) error {
		rec, err := r.parties(h, parent, number)
		if err != nil || rec == nil {
			return err
		}
		switch old, _, err := r.Dirs.Lookup(h, dir, name); {
		case err == nil && old == ino:
			return nil
		case err == nil:
			if err := r.drop(h, dir, old, name); err != nil {
				return err
			}
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		if rec, err = r.Inodes.Edit(h, ino); err != nil {
			return err
		}
		switch {
		case rec.IsDir() && rec.Links() == 0:
			rec.SetLinks(2)
			if err := r.Dirs.Init(h, ino, dir); err != nil {
				return err
			}
			if err := r.AddLink(h, dir, 1); err != nil {
				return err
			}
		case made:
			rec.SetLinks(1)
		default:
			rec.SetLinks(rec.Links() + 1)
		}
		if err := r.Dirs.Add(h, dir, name, ino, names.FileType(rec.Mode())); err != nil {
			return err
		}
		return r.DirChanged(h, dir)
	})
	if err != nil {
		return fmt.Errorf("inode %d: name %q in directory %d: %w", ino, name, dir, err)
	}
	return nil
}

// unlink removes a name, if it still leads to the inode.
func (r *replay) unlink(parent, number uint32, name string) error {
	dir, ino := layout.Ino(parent), layout.Ino(number)
	_, err := r.Update(r.Credits(), func(h *journal.Handle) error {
		rec, err := r.parties(h, parent, number)
		if err != nil || rec == nil {
			return err
		}
		old, _, err := r.Dirs.Lookup(h, dir, name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && old != ino {
			return nil
		}
		if err != nil {
			return err
		}
		return r.drop(h, dir, ino, name)
	})
	if err != nil {
		return fmt.Errorf("inode %d: no name %q in directory %d: %w", ino, name, dir, err)
	}
	return nil
}

// drop removes a name that leads to an inode, and its link. An inode without links stays for now, because another
// record may give it one.
// record may give it one.
func (r *replay) drop(h *journal.Handle, dir, ino layout.Ino, name string) error {
	if _, err := r.Dirs.Remove(h, dir, name); err != nil {
		return err
	}
	rec, err := r.Inodes.Edit(h, ino)
	if err != nil {
		return err
	}
	r.named = append(r.named, ino)
	switch {
	case rec.IsDir():
		rec.SetLinks(0)
		if err := r.AddLink(h, dir, -1); err != nil {
			return err
		}
	case rec.Links() > 0:
		rec.SetLinks(rec.Links() - 1)
	}
	return r.DirChanged(h, dir)
}

// orphans adds the inodes that have no links in the end to the orphans, which every recovery then deletes.
func (r *replay) orphans() error {
	for _, ino := range r.named {
		_, err := r.Update(inode.OrphanCredits, func(h *journal.Handle) error {
			rec, err := r.exists(h, ino)
			if err != nil || rec == nil || rec.Links() > 0 {
				return err
			}
			return r.Inodes.AddOrphan(h, ino)
		})
		if err != nil {
			return fmt.Errorf("inode %d: %w", ino, err)
		}
	}
	return nil
}
