package ext4

import (
	"errors"
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// ErrSameFile says that a name cannot be replaced by what it is already.
var ErrSameFile = errors.New("the same file")

// LinkOver is Link that replaces what newname is, unless that is a directory, in one step. A newname that is oldname, or
// the only name of the file, is ErrSameFile; another name of the same file stays as it is.
func (f *FS) LinkOver(oldname, newname string) error { return f.linkOver(root(oldname), root(newname)) }

// LinkOver is FS.LinkOver of the inode and a name in the directory dir.
func (i Inode) LinkOver(dir Inode, name string) error {
	return i.fs.linkOver(i.spot(), spot{dir.ino, name})
}

func (f *FS) linkOver(old, to spot) error {
	var gone *node
	tid, err := f.vol.Update(f.nameCredits(), func(h *journal.Handle) error {
		ino, err := f.walk(h, old, false)
		if err != nil {
			return err
		}
		p, there, err := f.walkOver(h, to)
		if err != nil {
			return err
		}
		if there == ino {
			return f.sameFile(h, old, p, ino)
		}
		rec, err := f.mayLink(h, ino)
		if err != nil {
			return err
		}
		if err := f.addLink(h, ino, 1); err != nil {
			return err
		}
		return f.nameOver(h, p, ino, fileType(rec.Mode()), there, &gone)
	})
	if err == nil {
		err = f.letGo(gone, tid)
	}
	return pathError("link", to.String(), err)
}

// sameFile judges a link of a file over one of its own names, at p.
func (f *FS) sameFile(r journal.Reader, old spot, p place, ino layout.Ino) error {
	rec, err := f.vol.Inodes.Read(r, ino)
	if err != nil {
		return err
	}
	from := place{}
	if old.path != "" {
		if from, err = f.walkParent(r, old); err != nil {
			return err
		}
	}
	same, err := f.samePlace(r, from, p)
	if err == nil && (same || rec.Links() == 1) {
		err = ErrSameFile
	}
	return err
}

// samePlace tells whether two places that lead to one inode are, or may be, one name: in a casefolded directory names that
// are written differently may be.
func (f *FS) samePlace(r journal.Reader, a, b place) (bool, error) {
	if a.dir != b.dir || a.name == b.name {
		return a.dir == b.dir, nil
	}
	rec, err := f.vol.Inodes.Read(r, a.dir)
	return err == nil && rec.HasFlag(layout.FlagCasefold), err
}

// SymlinkOver is Symlink that replaces what name is, unless that is a directory, in one step. A link that would replace
// the very file it is to lead to is ErrSameFile.
func (f *FS) SymlinkOver(target, name string, a Attr) error {
	_, err := f.symlinkOver(target, root(name), a)
	return err
}

// SymlinkOver is FS.SymlinkOver of a name in the directory.
func (i Inode) SymlinkOver(target, name string, a Attr) (Inode, error) {
	ino, err := i.fs.symlinkOver(target, spot{i.ino, name}, a)
	return Inode{i.fs, ino}, err
}

func (f *FS) symlinkOver(target string, s spot, a Attr) (made layout.Ino, err error) {
	if err := checkTarget(target); err != nil {
		return 0, pathError("symlink", s.String(), err)
	}
	a.Perm = 0o777
	var gone *node
	tid, err := f.vol.Update(f.createCredits(), func(h *journal.Handle) error {
		p, there, err := f.walkOver(h, s)
		if err != nil {
			return err
		}
		if there != 0 && f.leadsTo(h, p, target) == there {
			if err := f.sameFile(h, spot{p.dir, target}, p, there); err != nil {
				return err
			}
		}
		made, err = f.newInode(h, p.dir, layout.ModeSymlink, a, func(h *journal.Handle, _, ino layout.Ino, rec layout.Inode) error {
			return f.initSymlink(h, ino, rec, target)
		})
		if err != nil {
			return err
		}
		return f.nameOver(h, p, made, layout.FTSymlink, there, &gone)
	})
	if err == nil {
		err = f.letGo(gone, tid)
	}
	return made, pathError("symlink", s.String(), err)
}

// leadsTo is where a symbolic link at p to target would lead as things are; 0 for nowhere.
func (f *FS) leadsTo(r journal.Reader, p place, target string) layout.Ino {
	w := walker{fs: f, r: r}
	to, err := w.parent(p.dir, target)
	if err != nil {
		return 0
	}
	ino, err := w.finish(to, true)
	if err != nil {
		return 0
	}
	return ino
}

// walkOver finds a name that is to be made or replaced, and what it leads to; 0 for nothing. What cannot be replaced is
// refused.
func (f *FS) walkOver(r journal.Reader, s spot) (p place, there layout.Ino, err error) {
	w := walker{fs: f, r: r}
	if p, err = w.start(s); err != nil {
		return p, 0, err
	}
	if !p.named() {
		return p, 0, syscall.EISDIR
	}
	there, err = w.step(p)
	switch {
	case isNotExist(err) && !p.slash:
		return p, 0, f.mayChangeDir(r, p.dir, false)
	case err != nil:
		return p, 0, err
	}
	rec, err := f.vol.Inodes.Read(r, there)
	switch {
	case err != nil:
		return p, 0, err
	case rec.IsDir():
		return p, 0, syscall.EISDIR
	case p.slash:
		return p, 0, syscall.ENOTDIR
	}
	if err := f.mayChangeDir(r, p.dir, false); err != nil {
		return p, 0, err
	}
	return p, there, f.mayRemove(r, p.dir, there)
}
