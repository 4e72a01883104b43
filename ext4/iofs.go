package ext4

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"sort"
	"syscall"

	"ext4img/ext4/internal/names"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// OpenFile opens a file with the flags of package os: O_RDONLY, O_WRONLY, O_RDWR, O_APPEND, O_CREATE, O_EXCL, O_TRUNC. A
// file that is created belongs to user and group 0 and has the permissions perm.
func (f *FS) OpenFile(name string, flag int, perm fs.FileMode) (*File, error) {
	file, err := f.openFile(name, flag, Attr{Perm: PermBits(perm)})
	return file, pathError("open", name, err)
}

func (f *FS) openFile(name string, flag int, a Attr) (*File, error) {
	n, err := f.lookupNode(root(name), flag)
	if isNotExist(err) && flag&os.O_CREATE != 0 {
		if n, err = f.createNode(name, flag, a); errors.Is(err, fs.ErrExist) && flag&os.O_EXCL == 0 {
			n, err = f.lookupNode(root(name), flag) // another goroutine was first
		}
	}
	if err != nil {
		return nil, err
	}
	return f.opened(n, name, flag)
}

// opened makes the File for an inode that was held for it.
func (f *FS) opened(n *openInode, name string, flag int) (*File, error) {
	file := &File{fs: f, n: n, name: name, flag: flag}
	if flag&os.O_TRUNC != 0 && flag&(os.O_WRONLY|os.O_RDWR) != 0 {
		if err := n.truncate(0); err != nil {
			return nil, errors.Join(err, f.put(n))
		}
	}
	return file, nil
}

// lookupNode finds the inode of a spot and takes a reference while it holds the view, so that no handle can free it
// in between.
func (f *FS) lookupNode(s names.Spot, flag int) (*openInode, error) {
	writing := flag&(os.O_WRONLY|os.O_RDWR) != 0
	v := f.vol.Journal.View()
	defer v.Close()
	_, ino, err := f.names.WalkOpen(v, s, flag)
	if err != nil {
		return nil, err
	}
	rec, err := f.vol.Inodes.Read(v, ino)
	if err != nil {
		return nil, err
	}
	if err := f.mayOpen(ino, rec, writing, flag); err != nil {
		return nil, err
	}
	return f.get(ino), nil
}

// mayOpen checks whether a file can be opened in this way.
func (f *FS) mayOpen(ino layout.Ino, rec layout.Inode, writing bool, flag int) error {
	switch {
	case rec.IsDir() && (writing || flag&os.O_CREATE != 0):
		return syscall.EISDIR
	case !rec.IsDir() && !rec.IsRegular():
		return syscall.ENXIO
	case !writing:
		return nil
	case f.vol.ReadOnly():
		return syscall.EROFS
	case rec.HasFlag(layout.FlagImmutable), rec.HasFlag(layout.FlagAppend) && flag&(os.O_APPEND|os.O_TRUNC) != os.O_APPEND:
		return syscall.EPERM
	case rec.HasFlag(layout.FlagEncrypt | layout.FlagVerity | layout.FlagEAInode):
		return layout.Unsupportedf("inode %d: content that is encrypted, sealed by verity or an attribute", ino)
	}
	return nil
}

func (f *FS) createNode(name string, flag int, a Attr) (n *openInode, err error) {
	tid, err := f.vol.Update(f.names.CreateCredits(), func(h *journal.Handle) error {
		p, _, err := f.names.WalkOpen(h, root(name), flag)
		if err == nil {
			return fs.ErrExist
		}
		if !isNotExist(err) || !p.Named() {
			return err
		}
		ino, err := f.names.Create(h, p, layout.ModeRegular, names.Attr(a), nil)
		f.hold(h, ino, &n)
		return err
	})
	if err == nil {
		n.changed(tid)
	}
	return n, err
}

// Create makes a regular file, or empties one that exists, and opens it for reading and writing.
func (f *FS) Create(name string, a Attr) (*File, error) {
	file, err := f.openFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, a)
	return file, pathError("create", name, err)
}

// Open opens a file or directory for reading. It implements fs.FS, whose paths have no leading slash.
func (f *FS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	file, err := f.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// ReadFile returns the content of a file. It implements fs.ReadFileFS, whose paths have no leading slash.
func (f *FS) ReadFile(name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return f.readFile(name)
}

func (f *FS) readFile(name string) ([]byte, error) {
	file, err := f.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, pathError("read", name, syscall.EISDIR)
	}
	return file.readAll(info.Size())
}

// readAll reads the whole file in pieces: a large i_size alone must not allocate memory.
func (f *File) readAll(size int64) ([]byte, error) {
	var out []byte
	for {
		k := min(max(size-int64(len(out)), 512), 4<<20)
		out = slices.Grow(out, int(k))
		n, err := f.ReadAt(out[len(out):len(out)+int(k)], int64(len(out)))
		out = out[:len(out)+n]
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// ReadLink is Readlink, under the name that fs.ReadLinkFS has for it.
func (f *FS) ReadLink(name string) (string, error) { return f.Readlink(name) }

// ReadDir lists a directory, sorted by name. If parts of it cannot be read, the error names them, and the names in
// the other parts are returned with it; fs.WalkDir goes on to those.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	v := f.vol.Journal.View()
	defer v.Close()
	ino, err := f.names.Walk(v, root(name), true)
	if err != nil {
		return nil, pathError("readdir", name, err)
	}
	list, err := f.list(v, ino, name)
	sort.Slice(list, func(i, j int) bool { return list[i].Name() < list[j].Name() })
	return list, pathError("readdir", name, err)
}

// ReadDir lists an open directory as fs.ReadDirFile does: with n > 0 at most n names in a call, and io.EOF at the
// end. Parts that cannot be read are reported as by FS.ReadDir, once: with n > 0 after the last name.
func (f *File) ReadDir(n int) ([]fs.DirEntry, error) {
	if f.isClosed() {
		return nil, f.wrap("readdir", fs.ErrClosed)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.listed {
		v := f.fs.vol.Journal.View()
		f.list, f.listErr = f.fs.list(v, f.n.ino, f.name)
		v.Close()
		f.listed = true
	}
	list := f.list
	if n > 0 && len(list) > 0 {
		k := min(n, len(list))
		f.list = list[k:]
		return list[:k], nil
	}
	err := f.listErr
	f.list, f.listErr = nil, nil
	if err != nil {
		return list, f.wrap("readdir", err)
	}
	if n > 0 {
		return nil, io.EOF
	}
	return list, nil
}

var (
	_ fs.ReadDirFS   = (*FS)(nil)
	_ fs.StatFS      = (*FS)(nil)
	_ fs.ReadFileFS  = (*FS)(nil)
	_ fs.ReadLinkFS  = (*FS)(nil)
	_ fs.ReadDirFile = (*File)(nil)
	_ io.ReaderAt    = (*File)(nil)
	_ io.WriterAt    = (*File)(nil)
	_ io.Seeker      = (*File)(nil)
)
