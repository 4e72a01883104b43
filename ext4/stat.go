package ext4

import (
	"errors"
	"io/fs"
	"math"
	"time"

	"ext4img/ext4/internal/dir"
	"ext4img/ext4/internal/names"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Stat holds the attributes of an inode. FileInfo.Sys returns it.
type Stat struct {
	Ino          uint32
	Mode         uint16 // i_mode: type and permissions
	Links        uint16
	UID, GID     uint32
	Size         int64  // bytes
	Blocks       uint64 // in units of 512 bytes
	Flags        uint32 // i_flags
	Generation   uint32
	Project      uint32
	Major, Minor uint32 // numbers of a device
	Atime        time.Time
	Mtime        time.Time
	Ctime        time.Time
	Crtime       time.Time // zero if the inode has none
}

// FileInfo describes a file; it is an fs.FileInfo.
type FileInfo struct {
	name string
	stat Stat
}

// Name is the last name of the path.
func (i *FileInfo) Name() string { return i.name }

// Size is the size in bytes.
func (i *FileInfo) Size() int64 { return i.stat.Size }

// ModTime is the time of the last change of content.
func (i *FileInfo) ModTime() time.Time { return i.stat.Mtime }

// IsDir tells whether it is a directory.
func (i *FileInfo) IsDir() bool { return i.Mode().IsDir() }

// Sys returns a *Stat.
func (i *FileInfo) Sys() any { return &i.stat }

// Stat returns all attributes of the inode.
func (i *FileInfo) Stat() *Stat { return &i.stat }

// Mode is the type and the permissions.
func (i *FileInfo) Mode() fs.FileMode { return fileMode(i.stat.Mode) }

// String is the line that fs.FormatFileInfo makes, as ls -l shows it.
func (i *FileInfo) String() string { return fs.FormatFileInfo(i) }

// fileMode translates i_mode.
func fileMode(mode uint16) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	for _, b := range []struct {
		bit uint16
		to  fs.FileMode
	}{{layout.ModeSetUID, fs.ModeSetuid}, {layout.ModeSetGID, fs.ModeSetgid}, {layout.ModeSticky, fs.ModeSticky}} {
		if mode&b.bit != 0 {
			m |= b.to
		}
	}
	return m | typeMode(mode)
}

func typeMode(mode uint16) fs.FileMode {
	switch mode & layout.ModeTypeMask {
	case layout.ModeRegular:
		return 0
	case layout.ModeDir:
		return fs.ModeDir
	case layout.ModeSymlink:
		return fs.ModeSymlink
	case layout.ModeBlockDev:
		return fs.ModeDevice
	case layout.ModeCharDev:
		return fs.ModeDevice | fs.ModeCharDevice
	case layout.ModeFIFO:
		return fs.ModeNamedPipe
	case layout.ModeSocket:
		return fs.ModeSocket
	}
	return fs.ModeIrregular
}

// PermBits translates the permissions, set-uid, set-gid and sticky bit of an fs.FileMode into those of i_mode.
func PermBits(m fs.FileMode) uint16 {
	p := uint16(m.Perm())
	if m&fs.ModeSetuid != 0 {
		p |= layout.ModeSetUID
	}
	if m&fs.ModeSetgid != 0 {
		p |= layout.ModeSetGID
	}
	if m&fs.ModeSticky != 0 {
		p |= layout.ModeSticky
	}
	return p
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// Stat describes what a path leads to; a symbolic link at its end is followed.
func (f *FS) Stat(name string) (fs.FileInfo, error) { return f.statPath("stat", name, true) }

// Lstat describes the inode to which a path leads. A symbolic link at its end is not followed.
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return f.statPath("lstat", name, false) }

func (f *FS) statPath(op, name string, follow bool) (fs.FileInfo, error) {
	v := f.vol.Journal.View()
	defer v.Close()
	ino, err := f.names.Walk(v, root(name), follow)
	if err != nil {
		return nil, pathError(op, name, err)
	}
	info, err := f.info(v, ino, baseName(name))
	if err != nil {
		return nil, pathError(op, name, err)
	}
	return info, nil
}

func (f *FS) statIno(ino layout.Ino, name string) (*FileInfo, error) {
	v := f.vol.Journal.View()
	defer v.Close()
	return f.info(v, ino, name)
}

func (f *FS) info(r journal.Reader, ino layout.Ino, name string) (*FileInfo, error) {
	rec, err := f.vol.Inodes.Read(r, ino)
	if err != nil {
		return nil, err
	}
	s := Stat{
		Ino: uint32(ino), Mode: rec.Mode(), Links: rec.Links(), UID: rec.UID(), GID: rec.GID(), Size: int64(min(rec.Size(), math.MaxInt64)),
		Blocks: f.vol.Inodes.Blocks(rec), Flags: rec.Flags(), Generation: rec.Generation(), Project: rec.ProjectID(),
		Atime: rec.Atime(), Mtime: rec.Mtime(), Ctime: rec.Ctime(), Crtime: rec.Crtime(),
	}
	if t := rec.Type(); t == layout.ModeBlockDev || t == layout.ModeCharDev {
		s.Major, s.Minor = rec.Device()
	}
	f.lookAt(ino, &s)
	return &FileInfo{name, s}, nil
}

// Readlink returns the text of a symbolic link.
func (f *FS) Readlink(name string) (string, error) { return f.readlinkAt(root(name)) }

func (f *FS) readlinkAt(s names.Spot) (string, error) {
	v := f.vol.Journal.View()
	defer v.Close()
	ino, err := f.names.Walk(v, s, false)
	if err != nil {
		return "", pathError("readlink", s.String(), err)
	}
	target, err := f.names.Readlink(v, ino)
	return target, pathError("readlink", s.String(), err)
}

// dirEntry is one name of a directory; it is an fs.DirEntry.
type dirEntry struct {
	f    *FS
	path string
	name string
	typ  fs.FileMode
}

func (e *dirEntry) Name() string      { return e.name }
func (e *dirEntry) IsDir() bool       { return e.typ.IsDir() }
func (e *dirEntry) Type() fs.FileMode { return e.typ }
func (e *dirEntry) String() string    { return fs.FormatDirEntry(e) }
func (e *dirEntry) Info() (fs.FileInfo, error) {
	return e.f.Lstat(e.path + "/" + e.name)
}

// list reads a directory's names, without "." and "..", in the order of its blocks. If parts of the directory cannot
// be read, the error names them; the names in the other parts are returned with it.
func (f *FS) list(r journal.Reader, ino layout.Ino, path string) (out []fs.DirEntry, err error) {
	var bad []error
	faults := 0
	tell := func(err error) error {
		if faults++; faults <= maxBad {
			bad = append(bad, err)
		}
		return nil
	}
	err = f.vol.Dirs.Scan(r, ino, func(e dir.Entry) (bool, error) {
		if e.Name != "." && e.Name != ".." {
			out = append(out, &dirEntry{f, path, e.Name, f.entryMode(r, e)})
		}
		return true, nil
	}, tell)
	if err != nil {
		return out, err
	}
	if faults > maxBad {
		bad = append(bad, layout.Corruptf("directory %d: %d more such parts", ino, faults-maxBad))
	}
	if len(bad) == 1 {
		return out, bad[0]
	}
	return out, errors.Join(bad...)
}

// entryMode is the type of a directory entry: the one that it stores, or else that of the inode. It is
// fs.ModeIrregular if the inode cannot be read; Info then returns the error.
func (f *FS) entryMode(r journal.Reader, e dir.Entry) fs.FileMode {
	if mode, ok := storedMode(e.Type); ok {
		return mode
	}
	rec, err := f.vol.Inodes.Read(r, e.Ino)
	if err != nil {
		return fs.ModeIrregular
	}
	return typeMode(rec.Mode())
}

// storedMode is the type that a directory entry stores. It returns false if the entry stores none.
func storedMode(ftype uint8) (fs.FileMode, bool) {
	types := [...]uint16{layout.FTRegular: layout.ModeRegular, layout.FTDir: layout.ModeDir, layout.FTChar: layout.ModeCharDev,
		layout.FTBlock: layout.ModeBlockDev, layout.FTFifo: layout.ModeFIFO, layout.FTSocket: layout.ModeSocket, layout.FTSymlink: layout.ModeSymlink}
	if ftype == layout.FTUnknown || int(ftype) >= len(types) {
		return 0, false
	}
	return typeMode(types[ftype]), true
}
