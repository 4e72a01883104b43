// Package inode owns the inode records and the orphan list.
package inode

import (
	"errors"
	"time"

	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Table is the inodes of one file system.
type Table struct {
	s     *group.Space
	Clock func() time.Time // the time for new and freed inodes; time.Now until replaced
}

// New makes a Table over the file system of s.
func New(s *group.Space) *Table { return &Table{s: s, Clock: time.Now} }

// Space is the free space that the table takes its inodes from.
func (t *Table) Space() *group.Space { return t.s }

// Read reads an inode's record, in use or not. It must not be changed.
func (t *Table) Read(r journal.Reader, ino layout.Ino) (layout.Inode, error) {
	return nil, errors.ErrUnsupported
}

// Edit gives an inode's record to change.
func (t *Table) Edit(h *journal.Handle, ino layout.Ino) (layout.Inode, error) {
	return nil, errors.ErrUnsupported
}

// New allocates an inode and makes its record: mode with a type, times of now, a generation, no links, no owner, an empty
// extent tree for files and directories where the file system has extents, and what it inherits from its parent.
// The caller sets owner and links, and gives it a name or adds it to the orphans.
func (t *Table) New(h *journal.Handle, parent layout.Ino, mode uint16) (layout.Ino, layout.Inode, error) {
	return 0, nil, errors.ErrUnsupported
}

// Free gives an inode back that has no links, no blocks left, and is not an orphan any more: its i_dtime is set,
// its number can be used again.
func (t *Table) Free(h *journal.Handle, ino layout.Ino) error { return errors.ErrUnsupported }

// AddBlocks adds delta file system blocks to i_blocks, or takes them away.
func (t *Table) AddBlocks(h *journal.Handle, ino layout.Ino, delta int64) error {
	return errors.ErrUnsupported
}

// Blocks is the number of 512-byte sectors that i_blocks stands for.
func (t *Table) Blocks(in layout.Inode) uint64 { return 0 }

// SetSize sets i_size, and the feature large_file when it is the first file beyond 2 GiB. It does not truncate.
func (t *Table) SetSize(h *journal.Handle, ino layout.Ino, size uint64) error {
	return errors.ErrUnsupported
}

// AddOrphan notes that an inode is to be freed, or truncated to its size, if a crash comes in between. Adding one that is
// noted already changes nothing.
func (t *Table) AddOrphan(h *journal.Handle, ino layout.Ino) error { return errors.ErrUnsupported }

// DelOrphan takes an inode off the orphans; one that is not among them changes nothing.
func (t *Table) DelOrphan(h *journal.Handle, ino layout.Ino) error { return errors.ErrUnsupported }

// Orphans lists the orphans, in the order in which recovery must treat them.
func (t *Table) Orphans(r journal.Reader) ([]layout.Ino, error) { return nil, errors.ErrUnsupported }
