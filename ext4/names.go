package ext4

import (
	"fmt"
	"io/fs"
	"syscall"

	"ext4img/ext4/internal/inode"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// linkMax is the most links an inode may have; a directory beyond it, with dir_nlink, says 1: "not counted".
const linkMax = 65000

// Attr is who owns a new inode and what it may do.
type Attr struct {
	Perm     uint16 // permission bits, set-uid, set-gid and sticky bit of i_mode
	UID, GID uint32
}

// nameCredits is what an operation on names changes as a rule: two directories, a few inodes, an allocation of each kind.
func (fs *FS) nameCredits() int {
	return 2*fs.vol.Dirs.Credits() + fs.vol.Space.InodeCredits() + 2*inode.OrphanCredits + 12
}

// fileType is the type that a directory entry stores for a mode.
func fileType(mode uint16) uint8 {
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

// fillFunc completes a new inode before it gets its name, in the directory dir.
type fillFunc func(h *journal.Handle, dir, ino layout.Ino, rec layout.Inode) error

// create makes an inode with a name, in one handle.
func (f *FS) create(s spot, mode uint16, a Attr, fill fillFunc) (layout.Ino, error) {
	var made layout.Ino
	_, err := f.vol.Update(f.createCredits(), func(h *journal.Handle) error {
		p, err := f.walkNew(h, s, mode == layout.ModeDir)
		if err != nil {
			return err
		}
		made, err = f.createHeir(h, p, mode, a, fill)
		return err
	})
	return made, err
}

// createCredits is what making one inode with a name changes as a rule.
func (f *FS) createCredits() int { return f.nameCredits() + f.vol.Attrs.Credits(0) }

// createHeir is createIn of an inode that inherits the lists of its directory.
func (f *FS) createHeir(h *journal.Handle, p place, mode uint16, a Attr, fill fillFunc) (layout.Ino, error) {
	ino, err := f.createIn(h, p, mode, a, fill)
	if err != nil {
		return 0, err
	}
	return ino, f.inheritACL(h, p.dir, ino)
}

// createIn makes an inode with a name that does not exist yet.
func (f *FS) createIn(h *journal.Handle, p place, mode uint16, a Attr, fill fillFunc) (layout.Ino, error) {
	if err := f.mayChangeDir(h, p.dir, false); err != nil {
		return 0, err
	}
	ino, err := f.newInode(h, p.dir, mode, a, fill)
	if err != nil {
		return 0, err
	}
	if err := f.vol.Dirs.Add(h, p.dir, p.name, ino, fileType(mode)); err != nil {
		return 0, err
	}
	return ino, f.dirChanged(h, p.dir)
}

// newInode makes an inode with one link, whose name in dir comes next.
func (f *FS) newInode(h *journal.Handle, dir layout.Ino, mode uint16, a Attr, fill fillFunc) (layout.Ino, error) {
	ino, rec, err := f.vol.Inodes.New(h, dir, mode|a.Perm&layout.ModePermMask)
	if err != nil {
		return 0, err
	}
	rec.SetUID(a.UID)
	rec.SetGID(a.GID)
	rec.SetLinks(1)
	if err := f.inheritGroup(h, dir, rec); err != nil {
		return 0, err
	}
	if fill != nil {
		if err := fill(h, dir, ino, rec); err != nil {
			return 0, err
		}
	}
	return ino, nil
}

// inheritGroup gives a new inode what a directory with the set-gid bit passes on: its group, to directories the bit as well.
func (f *FS) inheritGroup(r journal.Reader, dir layout.Ino, rec layout.Inode) error {
	parent, err := f.vol.Inodes.Read(r, dir)
	if err != nil || parent.Mode()&layout.ModeSetGID == 0 {
		return err
	}
	rec.SetGID(parent.GID())
	if rec.IsDir() {
		rec.SetMode(rec.Mode() | layout.ModeSetGID)
	}
	return nil
}

// mayChangeDir refuses directories whose flags or features forbid a change; removing tells that a name goes.
func (f *FS) mayChangeDir(r journal.Reader, dir layout.Ino, removing bool) error {
	rec, err := f.vol.Inodes.Read(r, dir)
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

// dirChanged sets a directory's times and version.
func (f *FS) dirChanged(h *journal.Handle, dir layout.Ino) error {
	rec, err := f.vol.Inodes.Edit(h, dir)
	if err != nil {
		return err
	}
	now := f.vol.Inodes.Clock()
	rec.SetMtime(now)
	rec.SetCtime(now)
	f.vol.Geo.AddVersion(rec)
	return nil
}

// Mkdir makes a directory.
func (f *FS) Mkdir(name string, a Attr) error {
	_, err := f.mkdirAt(root(name), a)
	return err
}

func (f *FS) mkdirAt(s spot, a Attr) (layout.Ino, error) {
	made, err := f.create(s, layout.ModeDir, a, func(h *journal.Handle, dir, ino layout.Ino, rec layout.Inode) error {
		return f.initDir(h, ino, rec, dir)
	})
	return made, pathError("mkdir", s.String(), err)
}

// initDir makes a new inode an empty directory.
func (f *FS) initDir(h *journal.Handle, ino layout.Ino, rec layout.Inode, parent layout.Ino) error {
	rec.SetLinks(2)
	if err := f.vol.Dirs.Init(h, ino, parent); err != nil {
		return err
	}
	return f.addLink(h, parent, 1)
}

// MkdirAll makes a directory and those above it that are missing. A directory that is there already is no error.
func (f *FS) MkdirAll(name string, a Attr) error {
	sofar := ""
	for _, part := range split(name) {
		sofar += "/" + part
		info, err := f.Stat(sofar)
		switch {
		case err == nil && !info.IsDir():
			return pathError("mkdir", sofar, syscall.ENOTDIR)
		case err == nil:
			continue
		case !isNotExist(err):
			return err
		}
		if err := f.Mkdir(sofar, a); err != nil {
			return err
		}
	}
	return nil
}

// addLink changes an inode's link count. A directory with too many links says 1, where dir_nlink allows that.
func (f *FS) addLink(h *journal.Handle, ino layout.Ino, delta int) error {
	rec, err := f.vol.Inodes.Edit(h, ino)
	if err != nil {
		return err
	}
	links := int(rec.Links())
	rec.SetCtime(f.vol.Inodes.Clock())
	if rec.IsDir() && links == 1 {
		return nil // not counted any more
	}
	links += delta
	switch {
	case links < 0:
		return layout.Corruptf("inode %d: %d links, %d to be taken away", ino, rec.Links(), -delta)
	case links >= linkMax && rec.IsDir() && f.vol.Geo.ROCompat&layout.ROCompatDirNlink != 0:
		links = 1
	case links > linkMax:
		return fmt.Errorf("inode %d: %d links, the most there may be: %w", ino, linkMax, syscall.EMLINK)
	}
	rec.SetLinks(uint16(links))
	return nil
}

// Symlink makes a symbolic link to target: short ones in the inode, others in a block of their own.
func (f *FS) Symlink(target, name string, a Attr) error {
	_, err := f.symlinkAt(target, root(name), a)
	return err
}

func (f *FS) symlinkAt(target string, s spot, a Attr) (layout.Ino, error) {
	if err := checkTarget(target); err != nil {
		return 0, pathError("symlink", s.String(), err)
	}
	a.Perm = 0o777
	made, err := f.create(s, layout.ModeSymlink, a, func(h *journal.Handle, _, ino layout.Ino, rec layout.Inode) error {
		return f.initSymlink(h, ino, rec, target)
	})
	return made, pathError("symlink", s.String(), err)
}

// checkTarget judges the text of a symbolic link.
func checkTarget(target string) error {
	switch {
	case target == "":
		return syscall.ENOENT
	case len(target) >= maxPath:
		return syscall.ENAMETOOLONG
	}
	return nil
}

// initSymlink gives a new symbolic link its text.
func (f *FS) initSymlink(h *journal.Handle, ino layout.Ino, rec layout.Inode, target string) error {
	if err := checkTarget(target); err != nil {
		return err
	}
	if len(target) >= f.vol.Geo.BlockSize {
		return syscall.ENAMETOOLONG
	}
	rec.SetSize(uint64(len(target)))
	if len(target) < layout.InodeBlockSize {
		rec.SetFlags(rec.Flags() &^ layout.FlagExtents)
		clear(rec.Block())
		copy(rec.Block(), target)
		return nil
	}
	f.initMap(rec)
	e, err := f.vol.Extents.Allocate(h, ino, 0, 1, false)
	if err != nil {
		return err
	}
	p, err := h.Create(f.linkRef(e.Pblk))
	if err != nil {
		return err
	}
	copy(p, target)
	return nil
}

// initMap makes i_block an empty map: an extent tree where the file system has extents.
func (f *FS) initMap(rec layout.Inode) {
	clear(rec.Block())
	if f.vol.Geo.Incompat&layout.IncompatExtents != 0 {
		rec.SetFlags(rec.Flags() | layout.FlagExtents)
		layout.InitExtentNode(rec.Block(), 0)
	}
}

// Mknod makes a device, a FIFO or a socket: mode is its type.
func (f *FS) Mknod(name string, mode uint16, a Attr, major, minor uint32) error {
	_, err := f.mknodAt(root(name), mode, a, major, minor)
	return err
}

func (f *FS) mknodAt(s spot, mode uint16, a Attr, major, minor uint32) (layout.Ino, error) {
	made, err := f.create(s, mode, a, func(_ *journal.Handle, _, _ layout.Ino, rec layout.Inode) error {
		return f.initSpecial(rec, mode, major, minor)
	})
	return made, pathError("mknod", s.String(), err)
}

// initSpecial makes a new inode a device, a FIFO or a socket.
func (f *FS) initSpecial(rec layout.Inode, mode uint16, major, minor uint32) error {
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

// Link gives a file one more name. Directories cannot have one.
func (f *FS) Link(oldname, newname string) error { return f.linkAt(root(oldname), root(newname)) }

func (f *FS) linkAt(old, to spot) error {
	_, err := f.vol.Update(f.nameCredits(), func(h *journal.Handle) error {
		if _, err := f.walk(h, old, false); err != nil {
			return err
		}
		p, err := f.walkNew(h, to, false)
		if err != nil {
			return err
		}
		return f.linkIn(h, old, p)
	})
	return pathError("link", to.String(), err)
}

// linkIn gives a file a name that does not exist yet.
func (f *FS) linkIn(h *journal.Handle, old spot, p place) error {
	ino, err := f.walk(h, old, false)
	if err != nil {
		return err
	}
	return f.linkInode(h, ino, p)
}

// linkInode is linkIn of an inode.
func (f *FS) linkInode(h *journal.Handle, ino layout.Ino, p place) error {
	if err := f.mayChangeDir(h, p.dir, false); err != nil {
		return err
	}
	rec, err := f.vol.Inodes.Read(h, ino)
	if err != nil {
		return err
	}
	if rec.IsDir() || rec.HasFlag(layout.FlagImmutable|layout.FlagAppend) {
		return syscall.EPERM
	}
	if err := f.addLink(h, ino, 1); err != nil {
		return err
	}
	if err := f.vol.Dirs.Add(h, p.dir, p.name, ino, fileType(rec.Mode())); err != nil {
		return err
	}
	return f.dirChanged(h, p.dir)
}

// mayLink judges whether an inode may get one more name, and returns its record.
func (f *FS) mayLink(r journal.Reader, ino layout.Ino) (layout.Inode, error) {
	rec, err := f.vol.Inodes.Read(r, ino)
	if err == nil && (rec.IsDir() || rec.HasFlag(layout.FlagImmutable|layout.FlagAppend)) {
		err = syscall.EPERM
	}
	return rec, err
}
