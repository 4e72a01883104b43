// Package quota owns the contents of the quota files: the usage of each user, group and project. The files are inodes
// that the superblock names. Inside, in blocks of 1 KiB whatever the file system's block size, is a radix tree over
// identifiers:
//
//	block 0       header: magic, version, number of blocks, heads of two free lists
//	block 1       root: 256 references by the highest byte of the identifier
//	              … two more levels … then the references by the lowest byte
//	leaf          links of a free list, number of records, 14 records: id, limits, usage
//
// It promises that usage changes in the same handle as the inodes that it counts. Settle, called before each handle
// stops, charges for the inodes that the handle edited: their usage now, less their usage before. Limits are kept and
// not enforced. A file system without the quota feature costs nothing.
//
// The caller adds Credits to those that the handle needs otherwise. The files grow with the number of identifiers, so
// after group.ErrResting the caller commits and tries again.
package quota

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"ext4img/ext4/internal/extent"
	"ext4img/ext4/internal/group"
	"ext4img/ext4/internal/inode"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// A Kind is a kind of identifier.
type Kind int

// The kinds, each with a file of its own.
const (
	Users Kind = iota
	Groups
	Projects
	kinds
)

// String is the name that quota tools use: user, group or project.
func (k Kind) String() string { return [...]string{"user", "group", "project"}[k] }

// Quota is the quota files of one file system.
type Quota struct {
	t *inode.Table
	m *extent.Mapper
	g *layout.Geometry
}

// New makes a Quota over the inodes of t, mapped by m.
func New(t *inode.Table, m *extent.Mapper) *Quota { return &Quota{t, m, t.Space().Geometry()} }

// On tells whether the file system has quota files.
func (q *Quota) On() bool { return q.g.ROCompat&layout.ROCompatQuota != 0 }

// Credits is the number of blocks that Settle usually changes in a handle: for each kind the leaves of two
// identifiers, and sometimes a new leaf with the header and a tree block.
func (q *Quota) Credits() int {
	if !q.On() {
		return 0
	}
	return int(kinds) * 4
}

// An owner is one identifier of a kind.
type owner struct {
	kind Kind
	id   uint32
}

// An amount is the usage of an owner, or a change of it.
type amount struct{ bytes, inodes int64 }

// Settle charges for what the handle has changed so far. It is called once, as the last step before the handle stops.
func (q *Quota) Settle(h *journal.Handle) error {
	if !q.On() {
		return nil
	}
	changes, err := q.t.Changes(h)
	if err != nil || len(changes) == 0 {
		return err
	}
	files, err := q.files(h)
	if err != nil {
		return err
	}
	due := make(map[owner]amount)
	for _, c := range changes {
		if slices.Contains(files[:], c.Ino) {
			continue
		}
		add(due, c.Before, -1)
		add(due, c.After, 1)
	}
	order := slices.SortedFunc(maps.Keys(due), func(a, b owner) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.id, b.id))
	})
	for _, o := range order {
		if files[o.kind] == 0 || due[o] == (amount{}) {
			continue
		}
		if err := q.charge(h, files[o.kind], o, due[o]); err != nil {
			return fmt.Errorf("quota of %s %d: %w", o.kind, o.id, err)
		}
	}
	return nil
}

// add adds the usage of an inode to the amounts of its three owners. sign is 1 or -1.
func add(due map[owner]amount, u inode.Usage, sign int64) {
	for _, o := range []owner{{Users, u.UID}, {Groups, u.GID}, {Projects, u.Project}} {
		a := due[o]
		due[o] = amount{a.bytes + sign*int64(u.Bytes), a.inodes + sign*int64(u.Inodes)}
	}
}

// files returns the inodes of the quota files; 0 if a kind has no file.
func (q *Quota) files(r journal.Reader) (out [kinds]layout.Ino, err error) {
	super, err := q.space().Super(r)
	if err != nil {
		return out, err
	}
	for k, ino := range []uint32{super.UsrQuotaInum(), super.GrpQuotaInum(), super.PrjQuotaInum()} {
		out[k] = layout.Ino(ino)
	}
	return out, nil
}

func (q *Quota) space() *group.Space { return q.t.Space() }

// charge changes the record of an owner, and makes it if there is none.
func (q *Quota) charge(h *journal.Handle, ino layout.Ino, o owner, by amount) error {
	f, err := q.open(h, ino, o.kind)
	if err != nil {
		return err
	}
	at, err := f.record(h, o.id)
	if err != nil {
		return err
	}
	p, err := f.edit(h, at.block)
	if err != nil {
		return err
	}
	e := layout.QuotaEntries(p)[at.index]
	e.SetSpace(plus(e.Space(), by.bytes))
	e.SetInodes(plus(e.Inodes(), by.inodes))
	e.MarkUsed()
	return nil
}

// plus adds, but not below 0: if a count was wrong before, it must not wrap around.
func plus(n uint64, by int64) uint64 {
	if by < 0 && uint64(-by) > n {
		return 0
	}
	return n + uint64(by)
}
