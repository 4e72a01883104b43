package inode

import (
	"maps"
	"slices"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Usage is what quotas charge for an inode: nothing while it is not in use.
type Usage struct {
	UID, GID, Project uint32
	Inodes            uint64 // 1, plus the values in inodes of their own; 0 while it is not in use
	Bytes             uint64 // of i_blocks
}

// A Change is the usage of an inode before a handle and now.
type Change struct {
	Ino           layout.Ino
	Before, After Usage
}

// watched is the inodes that the running handle edits, on a file system with quotas.
type watched struct {
	before map[layout.Ino]Usage
	freed  map[layout.Ino]bool
}

// usage is what quotas charge for a record. The file system's own inodes, and those that hold values of attributes,
// are charged to no owner.
func (t *Table) usage(h *journal.Handle, ino layout.Ino, in layout.Inode) (Usage, error) {
	if ino != layout.RootIno && ino < t.g.FirstIno || in.HasFlag(layout.FlagEAInode) {
		return Usage{}, nil
	}
	u := Usage{in.UID(), in.GID(), in.ProjectID(), 1, t.Blocks(in) * 512}
	if t.Values == nil || t.g.Incompat&layout.IncompatEAInode == 0 {
		return u, nil
	}
	n, err := t.Values(h, ino)
	u.Inodes += n
	return u, err
}

// watch records the usage of an inode before the handle first edits it.
func (t *Table) watch(h *journal.Handle, ino layout.Ino, before func() (Usage, error)) error {
	if t.g.ROCompat&layout.ROCompatQuota == 0 {
		return nil
	}
	if t.watched.before == nil {
		t.watched = watched{make(map[layout.Ino]Usage), make(map[layout.Ino]bool)}
		h.AtEnd(func(bool) { t.watched = watched{} })
	}
	if _, ok := t.watched.before[ino]; ok {
		return nil
	}
	u, err := before()
	if err == nil {
		t.watched.before[ino] = u
	}
	return err
}

// Changes lists, in the order of their numbers, the inodes whose usage the handle has changed. On a file system
// without quotas there are none.
func (t *Table) Changes(h *journal.Handle) ([]Change, error) {
	var out []Change
	for _, ino := range slices.Sorted(maps.Keys(t.watched.before)) {
		c := Change{Ino: ino, Before: t.watched.before[ino]}
		if !t.watched.freed[ino] {
			in, err := t.Read(h, ino)
			if err != nil {
				return nil, err
			}
			if c.After, err = t.usage(h, ino, in); err != nil {
				return nil, err
			}
		}
		if c.Before != c.After {
			out = append(out, c)
		}
	}
	return out, nil
}
