package names

import (
	"fmt"
	"io/fs"
	"syscall"

	"ext4img/ext4/internal/inode"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// LinkMax is the most links an inode may have. With dir_nlink, a directory that has more stores 1, for "not counted".
const LinkMax = 65000

// Attr is the owner and the permissions of a new inode.
type Attr struct {
	Perm     uint16 // permission bits, set-uid, set-gid and sticky bit of i_mode
	UID, GID uint32
}

// Credits is the number of blocks that an operation on names usually changes: two directories, a few inodes, an
// allocation of each kind.
func (n *Names) Credits() int {
	return 2*n.Dirs.Credits() + n.Space.InodeCredits() + 2*inode.OrphanCredits + 12
}

// FileType is the type that a directory entry stores for a mode.
func FileType(mode uint16) uint8 {
	switch mode & layout.ModeTypeMask {
	case layout.ModeRegular:
		return layout.FTRegular
	case layout.ModeDir:
		return layout.FTDir
	case layout.ModeCharDev:
		return layout.FTChar
	case layout.ModeBlockDev:
		return layout.FTBlock
	case layout.ModeFIFO:
		return layout.FTFifo
	case layout.ModeSocket:
		return layout.FTSocket
	case layout.ModeSymlink:
		return layout.FTSymlink
	}
	return layout.FTUnknown
}

// Fill completes a new inode before it gets its name in the directory dir.
type Fill func(h *journal.Handle, dir, ino layout.Ino, rec layout.Inode) error

// CreateCredits is the number of blocks that making one inode with a name usually changes.
func (n *Names) CreateCredits() int { return n.Credits() + n.Attrs.Credits(0) }

// Create makes an inode with a name that does not exist yet, and applies the default list of its directory. mode is
// its type. fill, which may be nil, completes it.
func (n *Names) Create(h *journal.Handle, p Place, mode uint16, a Attr, fill Fill) (layout.Ino, error) {
	ino, err := n.CreateBare(h, p, mode, a, fill)
	if err != nil {
		return 0, err
	}
	return ino, n.InheritACL(h, p.Dir, ino)
}

// CreateBare is Create for an inode that inherits no list.
func (n *Names) CreateBare(h *journal.Handle, p Place, mode uint16, a Attr, fill Fill) (layout.Ino, error) {
	if err := n.MayChangeDir(h, p.Dir, false); err != nil {
		return 0, err
	}
	ino, err := n.New(h, p.Dir, mode, a, fill)
	if err != nil {
		return 0, err
	}
	if err := n.Dirs.Add(h, p.Dir, p.Name, ino, FileType(mode)); err != nil {
		return 0, err
	}
	return ino, n.DirChanged(h, p.Dir)
}

// New makes an inode with one link. The caller then gives it a name in dir.
func (n *Names) New(h *journal.Handle, dir layout.Ino, mode uint16, a Attr, fill Fill) (layout.Ino, error) {
	ino, rec, err := n.Inodes.New(h, dir, mode|a.Perm&layout.ModePermMask)
	if err != nil {
		return 0, err
	}
	rec.SetUID(a.UID)
	rec.SetGID(a.GID)
	rec.SetLinks(1)
	if err := n.InheritGroup(h, dir, rec); err != nil {
		return 0, err
	}
	if fill != nil {
		if err := fill(h, dir, ino, rec); err != nil {
			return 0, err
		}
	}
	return ino, nil
}

// InheritGroup gives a new inode what a directory with the set-gid bit passes on: its group and, to directories, the
// bit.
func (n *Names) InheritGroup(r journal.Reader, dir layout.Ino, rec layout.Inode) error {
	parent, err := n.Inodes.Read(r, dir)
	if err != nil || parent.Mode()&layout.ModeSetGID == 0 {
		return err
	}
	rec.SetGID(parent.GID())
	if rec.IsDir() {
		rec.SetMode(rec.Mode() | layout.ModeSetGID)
	}
	return nil
}

// MayChangeDir returns an error if the flags or features of a directory forbid a change. removing says that a name is
// to be removed.
func (n *Names) MayChangeDir(r journal.Reader, dir layout.Ino, removing bool) error {
	rec, err := n.Inodes.Read(r, dir)
	if err != nil {
		return err
	}
	switch {
	case !rec.IsDir():
		return syscall.ENOTDIR
	case rec.HasFlag(layout.FlagImmutable), removing && rec.HasFlag(layout.FlagAppend):
		return syscall.EPERM
	case rec.Links() == 0:
		return fs.ErrNotExist
	case rec.HasFlag(layout.FlagEncrypt) && !removing:
		return layout.Unsupportedf("inode %d: names in an encrypted directory", dir)
	}
	return nil
}

// DirChanged sets a directory's times and version.
func (n *Names) DirChanged(h *journal.Handle, dir layout.Ino) error {
	rec, err := n.Inodes.Edit(h, dir)
	if err != nil {
		return err
	}
	now := n.Inodes.Clock()
	rec.SetMtime(now)
	rec.SetCtime(now)
	n.Geo.AddVersion(rec)
	return nil
}

// InitDir makes a new inode an empty directory.
func (n *Names) InitDir(h *journal.Handle, ino layout.Ino, rec layout.Inode, parent layout.Ino) error {
	rec.SetLinks(2)
	if err := n.Dirs.Init(h, ino, parent); err != nil {
		return err
	}
	return n.AddLink(h, parent, 1)
}

// AddLink changes an inode's link count. With dir_nlink, a directory with too many links stores 1.
func (n *Names) AddLink(h *journal.Handle, ino layout.Ino, delta int) error {
	rec, err := n.Inodes.Edit(h, ino)
	if err != nil {
		return err
	}
	links := int(rec.Links())
	rec.SetCtime(n.Inodes.Clock())
	if rec.IsDir() && links == 1 {
		return nil // its links are no longer counted
	}
	links += delta
	switch {
	case links < 0:
		return layout.Corruptf("inode %d: %d links, %d to be taken away", ino, rec.Links(), -delta)
	case links >= LinkMax && rec.IsDir() && n.Geo.ROCompat&layout.ROCompatDirNlink != 0:
		links = 1
	case links > LinkMax:
		return fmt.Errorf("inode %d: %d links, the most there may be: %w", ino, LinkMax, syscall.EMLINK)
	}
	rec.SetLinks(uint16(links))
	return nil
}

// InitSpecial makes a new inode a device, a FIFO or a socket.
func (n *Names) InitSpecial(rec layout.Inode, mode uint16, major, minor uint32) error {
	clear(rec.Block())
	switch mode {
	case layout.ModeCharDev, layout.ModeBlockDev:
		if major > 4095 || minor > 1<<20-1 {
			return syscall.EINVAL
		}
		rec.SetDevice(major, minor)
	case layout.ModeFIFO, layout.ModeSocket:
	default:
		return syscall.EINVAL
	}
	return nil
}

// Link gives a file a name that does not exist yet. A directory cannot have a second name.
func (n *Names) Link(h *journal.Handle, ino layout.Ino, p Place) error {
	if err := n.MayChangeDir(h, p.Dir, false); err != nil {
		return err
	}
	rec, err := n.mayLink(h, ino)
	if err != nil {
		return err
	}
	if err := n.AddLink(h, ino, 1); err != nil {
		return err
	}
	if err := n.Dirs.Add(h, p.Dir, p.Name, ino, FileType(rec.Mode())); err != nil {
		return err
	}
	return n.DirChanged(h, p.Dir)
}

// mayLink checks whether an inode may get one more name, and returns its record.
func (n *Names) mayLink(r journal.Reader, ino layout.Ino) (layout.Inode, error) {
	rec, err := n.Inodes.Read(r, ino)
	if err == nil && (rec.IsDir() || rec.HasFlag(layout.FlagImmutable|layout.FlagAppend)) {
		err = syscall.EPERM
	}
	return rec, err
}
