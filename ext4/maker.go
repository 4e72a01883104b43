package ext4

import (
	"errors"
	"fmt"
	"os"
	"time"

	"ext4img/ext4/internal/names"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// ErrOutside says that a path leads out of the directory beneath which a Maker works.
var ErrOutside = errors.New("leads out of the directory")

// An Entry is a file for a Maker to make: all properties of an inode.
type Entry struct {
	Path         string // beneath the Maker's directory; "" or "." is the directory itself
	Mode         uint16 // i_mode: type and permissions
	UID, GID     uint32
	Atime, Mtime time.Time // zero: now
	Target       string    // text of a symbolic link
	LinkTo       string    // beneath the directory: an existing file that gets one more name; all other fields are ignored then
	Major, Minor uint32    // of a device
	Xattrs       map[string][]byte
	Size         int64   // size of a regular file, bytes
	Data         []Piece // its content, in ascending order; the rest are holes
	File         *File   // its content instead of Size and Data: an open file of Maker.Temp
}

// A Piece is a part of a file's content. It begins at a multiple of the block size.
type Piece struct {
	Off  int64
	Data []byte
}

// An XattrError says which attribute an entry cannot have, and why.
type XattrError struct {
	Name string
	Err  error
}

// Error names the attribute and the reason.
func (e *XattrError) Error() string { return e.Name + ": " + e.Err.Error() }

// Unwrap is the reason.
func (e *XattrError) Unwrap() error { return e.Err }

// A Maker makes files beneath one directory, as GNU tar does when it extracts. It changes nothing outside that
// directory, whatever names and symbolic links exist or are made:
//
//   - A path is relative to the directory, with or without a leading slash. A path with ".." is refused: ErrOutside.
//   - A symbolic link on the way to a name is followed as long as it stays beneath the directory; otherwise the error is
//     ErrOutside. An absolute link stays there only if the directory is the root. Links that the Maker itself has made are
//     followed only if they are relative and without "..".
//   - Missing directories on the way are made.
//   - A name that exists is replaced, in one step, unless the new file cannot be made. A directory is replaced only if it is
//     empty. A directory over a directory changes the attributes of the old one, whose content stays.
//   - The modification time that an entry gives a directory stays when names are made in the directory later.
//
// Only one goroutine may use it.
type Maker struct {
	fs      *FS
	base    *openInode
	missing Attr
	timed   map[layout.Ino]struct{} // directories whose time an entry has set
	astray  map[layout.Ino]struct{} // symbolic links made here that are not followed
}

// NewMaker makes a Maker for an existing directory. Missing directories on the way to a name get the attributes in
// missing.
func (f *FS) NewMaker(dir string, missing Attr) (*Maker, error) {
	n, err := f.lookupDir(dir)
	if err != nil {
		return nil, pathError("make", dir, err)
	}
	return &Maker{fs: f, base: n, missing: missing, timed: map[layout.Ino]struct{}{}, astray: map[layout.Ino]struct{}{}}, nil
}

// lookupDir finds a directory and takes a reference, so that its number is not used again.
func (f *FS) lookupDir(dir string) (*openInode, error) {
	v := f.vol.Journal.View()
	defer v.Close()
	ino, err := f.names.WalkDir(v, dir)
	if err != nil {
		return nil, err
	}
	return f.get(ino), nil
}

// Close ends the use of the directory.
func (m *Maker) Close() error { return m.fs.put(m.base) }

// Make makes files in the order given, as many as fit in a transaction in one handle, and returns how many exist now.
// The error is that of the next entry, of which nothing exists except perhaps directories on its way. If the file
// cannot have an attribute, it is an *XattrError.
//
// Content is on the device before the handle stops, so that no commit can come between (ordering O1). The same
// entries in the same calls give the same image.
func (m *Maker) Make(entries []Entry) (made int, err error) {
	for made < len(entries) {
		n, err := m.some(entries[made:])
		made += n
		if err != nil {
			return made, pathError("make", entries[made].Path, err)
		}
	}
	return made, nil
}

// Temp opens a new file without a name, near the directory of path. An Entry gives it a name, path or another one.
// Without an Entry it is deleted when it is closed, or by recovery after a crash.
func (m *Maker) Temp(path string) (*File, error) {
	parts, err := pathParts(path)
	if err != nil {
		return nil, pathError("make", path, err)
	}
	var n *openInode
	for n == nil {
		var s *making
		tid, err := m.fs.vol.Update(m.fs.names.Credits(), func(h *journal.Handle) error {
			s = m.begin(h, m.fs.names.Credits())
			err := s.temp(parts, &n)
			if errors.Is(err, errGrown) {
				err = nil
			}
			return err
		})
		if err != nil {
			return nil, pathError("make", path, err)
		}
		s.ended(tid)
	}
	return &File{fs: m.fs, n: n, name: path, flag: os.O_RDWR}, nil
}

func (s *making) temp(parts []string, n **openInode) error {
	dir := s.m.base.ino
	if len(parts) > 0 {
		var err error
		if dir, err = s.dir(parts[:len(parts)-1], true); err != nil {
			return err
		}
	}
	f := s.m.fs
	ino, _, err := f.names.Tmpfile(s.h, dir, names.Attr{Perm: 0o600})
	if err != nil {
		return err
	}
	f.hold(s.h, ino, n)
	return nil
}

// some makes entries in one handle. If one fails, it cancels the handle and makes the entries before it in another.
func (m *Maker) some(entries []Entry) (made int, err error) {
	credits := m.fs.names.Credits() + contentCredits
	for {
		var s *making
		tid, err := m.fs.vol.Update(credits, func(h *journal.Handle) error {
			s = m.begin(h, credits)
			return s.run(entries)
		})
		if err == nil {
			if err := s.ended(tid); err != nil || s.made > 0 {
				return s.made, err
			}
			continue // only directories on the way were made
		}
		tooLarge := errors.Is(err, journal.ErrTooLarge)
		switch {
		case s == nil:
			return 0, err
		case tooLarge && (s.made == 0 || len(entries) == 1):
			return m.inSteps(&entries[0], err)
		case tooLarge && s.made == len(entries): // the quotas need credits for each owner
			entries = entries[:s.made/2]
		case s.made == 0 || s.made == len(entries):
			return 0, err
		default:
			entries = entries[:s.made]
		}
	}
}

const (
	// contentCredits is the number of blocks that the content and the attributes of an entry usually change. A handle
	// that needs more grows while the transaction has room.
	contentCredits = 16
	// maxReplaced bounds the files that one handle replaces: they are orphans until it has ended.
	maxReplaced = 64
)

// errGrown ends a handle that has no room for more directories on the way to an entry.
var errGrown = errors.New("the transaction is full")

// making is one handle of a Maker.
type making struct {
	m       *Maker
	h       *journal.Handle
	credits int // credits that one entry may need
	made    int
	grown   bool // directories were made on the way to the entry that comes next

	names []string     // the directory of the last entry, relative to the Maker's
	inos  []layout.Ino // the Maker's directory, and the directories of names

	fresh []fresh      // inodes that this handle has made or given a time
	gone  []*openInode // inodes whose name was replaced
	runs  []run        // content, in the order of its allocation
}

// fresh is what the Maker remembers of an inode.
type fresh struct {
	ino           layout.Ino
	timed, astray bool
}

func (m *Maker) begin(h *journal.Handle, credits int) *making {
	return &making{m: m, h: h, credits: credits, inos: []layout.Ino{m.base.ino}}
}

// ended copies the results of the handle to the Maker, and frees the inodes that were replaced.
func (s *making) ended(tid journal.TID) (err error) {
	for _, x := range s.fresh {
		setIn(s.m.timed, x.ino, x.timed)
		setIn(s.m.astray, x.ino, x.astray)
	}
	for _, n := range s.gone {
		n.changed(tid)
		if e := s.m.fs.put(n); err == nil {
			err = e
		}
	}
	return err
}

func setIn(set map[layout.Ino]struct{}, ino layout.Ino, in bool) {
	if in {
		set[ino] = struct{}{}
	} else {
		delete(set, ino)
	}
}

// knows returns what is remembered of an inode: by this handle, or else by the Maker.
func (s *making) knows(ino layout.Ino) fresh {
	for i := len(s.fresh) - 1; i >= 0; i-- {
		if s.fresh[i].ino == ino {
			return s.fresh[i]
		}
	}
	_, timed := s.m.timed[ino]
	_, astray := s.m.astray[ino]
	return fresh{ino, timed, astray}
}

func (s *making) run(entries []Entry) error {
	for i := range entries {
		if room := s.h.Room(); i > 0 && room < s.credits && s.h.Extend(s.credits-room) != nil || len(s.gone) >= maxReplaced {
			break // the transaction is full
		}
		s.grown = false
		err := s.entry(&entries[i])
		if errors.Is(err, errGrown) {
			break
		}
		if err != nil {
			return err
		}
		s.made++
	}
	return s.write()
}

// missing makes a missing directory on the way to an entry.
func (s *making) missing(dir layout.Ino, name string) (layout.Ino, error) {
	if room := s.h.Room(); s.grown && room < s.credits && s.h.Extend(s.credits-room) != nil {
		return 0, errGrown
	}
	s.grown = true
	var made layout.Ino
	err := s.inDir(dir, func() (err error) {
		p := names.Place{Dir: dir, Name: name}
		made, err = s.m.fs.names.CreateBare(s.h, p, layout.ModeDir, names.Attr(s.m.missing), func(h *journal.Handle, dir, ino layout.Ino, rec layout.Inode) error {
			return s.m.fs.names.InitDir(h, ino, rec, dir)
		})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("directory %q on the way: %w", name, err)
	}
	s.fresh = append(s.fresh, fresh{ino: made})
	return made, nil
}

// inDir runs fn, which changes names in a directory. If an entry has given the directory a time, that time stays.
func (s *making) inDir(dir layout.Ino, fn func() error) error {
	if !s.knows(dir).timed {
		return fn()
	}
	rec, err := s.m.fs.vol.Inodes.Read(s.h, dir)
	if err != nil {
		return err
	}
	mtime := rec.Mtime()
	if err := fn(); err != nil {
		return err
	}
	if rec, err = s.m.fs.vol.Inodes.Edit(s.h, dir); err != nil {
		return err
	}
	rec.SetMtime(mtime)
	return nil
}
