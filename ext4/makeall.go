package ext4

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"syscall"
	"time"

	"ext4img/aio"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// An Entry is a file for MakeAll: everything that an inode says of it.
type Entry struct {
	Path         string // absolute; the directory it is in exists, or comes earlier. With In, its name in there
	In           *Entry // the directory it is in, if set: an earlier entry, or one that has only Ino
	Mode         uint16 // i_mode: type and permissions
	UID, GID     uint32
	Atime, Mtime time.Time // zero: now
	Target       string    // of a symbolic link
	LinkTo       string    // the path of a file that gets one more name; all else is left out then
	Same         *Entry    // instead of LinkTo: an earlier entry, or one that has only Ino
	Major, Minor uint32    // of a device
	Xattrs       map[string][]byte
	Size         int64   // of a regular file, bytes
	Data         []Piece // its content, in ascending order; the rest are holes

	Ino uint32 // what MakeAll made: its inode
}

// A Piece is a part of a file's content. It begins at a multiple of the block size.
type Piece struct {
	Off  int64
	Data []byte
}

// MakeAll makes files in the order given, as many as fit in a transaction in one handle, and returns how many there
// are now; the error is that of the next one. What exists already is not replaced: fs.ErrExist.
//
// Content is on the device before the handle stops, so that no commit can come between (ordering O1). The same entries
// in the same calls give the same image.
func (f *FS) MakeAll(entries []Entry) (made int, err error) {
	for made < len(entries) {
		n, err := f.makeSome(entries[made:])
		made += n
		if err != nil {
			return made, pathError("make", entries[made].Path, err)
		}
	}
	return made, nil
}

// makeSome makes entries in one handle. When one fails the handle is undone, and those before it are made in another.
func (f *FS) makeSome(entries []Entry) (made int, err error) {
	credits := f.nameCredits() + contentCredits
	for {
		m := &maker{fs: f, credits: credits}
		_, err = f.update(credits, func(h *journal.Handle) error {
			*m = maker{fs: f, credits: credits, h: h}
			return m.run(entries)
		})
		tooLarge := errors.Is(err, journal.ErrTooLarge)
		switch {
		case err == nil:
			return m.made, nil
		case tooLarge && (m.made == 0 || len(entries) == 1):
			return f.makeInSteps(&entries[0], err)
		case tooLarge && m.made == len(entries): // with what the quotas need for so many owners
			entries = entries[:m.made/2]
		case m.made == 0 || m.made == len(entries):
			return 0, err
		default:
			entries = entries[:m.made]
		}
	}
}

// makeInSteps makes an entry whose content and attributes are more than a transaction holds, for which cause is the error: its
// name first, then the rest, a handle for each step. What cannot be completed is removed again.
func (f *FS) makeInSteps(e *Entry, cause error) (made int, err error) {
	if len(e.Data)+len(e.Xattrs) == 0 {
		return 0, cause
	}
	empty := []Entry{*e}
	empty[0].Data, empty[0].Xattrs = nil, nil
	if _, err = f.makeSome(empty); err != nil {
		return 0, err
	}
	e.Ino = empty[0].Ino
	if err := f.complete(e); err != nil {
		at := root(e.Path)
		if e.In != nil {
			at = spot{layout.Ino(e.In.Ino), e.Path}
		}
		return 0, errors.Join(err, f.remove(at, noName, func(layout.Inode) error { return nil }))
	}
	return 1, nil
}

// complete gives an entry that has its name and size already its content, attributes and times.
func (f *FS) complete(e *Entry) error {
	ino := layout.Ino(e.Ino)
	n := f.get(ino)
	var err error
	for _, piece := range e.Data {
		if err = n.writeExclusive(piece.Data, piece.Off); err != nil {
			break
		}
	}
	if err := errors.Join(err, f.put(n)); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
		value := e.Xattrs[name]
		_, err := f.update(f.attrs.Credits(len(value)), func(h *journal.Handle) error {
			return f.attrs.Set(h, ino, name, value, 0)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	_, err = f.update(1, func(h *journal.Handle) error {
		return (&maker{fs: f, h: h}).own(e, ino)
	})
	return err
}

// contentCredits is what the content and the attributes of an entry change as a rule; a handle that needs more gets it
// while the transaction has room.
const contentCredits = 16

// maker is one handle of MakeAll.
type maker struct {
	fs      *FS
	h       *journal.Handle
	credits int // what one entry may need
	made    int

	dirPath string // where the last entry was made
	dir     layout.Ino

	runs []run // content, in the order of its allocation
}

// run is content for adjacent blocks of the device, each piece padded to whole blocks.
type run struct {
	start, end layout.Pblk
	pieces     [][]byte
}

func (m *maker) run(entries []Entry) error {
	for i := range entries {
		if room := m.h.Room(); i > 0 && room < m.credits && m.h.Extend(m.credits-room) != nil {
			break // the transaction is full
		}
		if err := m.entry(&entries[i]); err != nil {
			return err
		}
		m.made++
	}
	return m.write()
}

func (m *maker) entry(e *Entry) error {
	p, err := m.place(e)
	if err != nil {
		return err
	}
	if e.LinkTo != "" || e.Same != nil {
		old := root(e.LinkTo)
		if e.Same != nil {
			old = spot{at: layout.Ino(e.Same.Ino)}
		}
		ino, err := m.fs.linkIn(m.h, old, p)
		e.Ino = uint32(ino)
		return err
	}
	ino, err := m.fs.createIn(m.h, p, e.Mode&layout.ModeTypeMask, Attr{}, func(_ *journal.Handle, _, ino layout.Ino, rec layout.Inode) error {
		return m.fill(e, p, ino, rec)
	})
	if err != nil {
		return err
	}
	e.Ino = uint32(ino)
	for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
		if err := m.fs.attrs.Set(m.h, ino, name, e.Xattrs[name], 0); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return m.own(e, ino)
}

// place is where an entry goes, whose name must be new. The directory is looked up once for neighbours.
func (m *maker) place(e *Entry) (place, error) {
	if e.In != nil {
		return m.fs.walkNew(m.h, spot{layout.Ino(e.In.Ino), e.Path}, e.Mode&layout.ModeTypeMask == layout.ModeDir)
	}
	dir, base := path.Split(path.Clean("/" + e.Path))
	if base == "" || m.dir == 0 || dir != m.dirPath {
		p, err := m.fs.walkNew(m.h, root(e.Path), e.Mode&layout.ModeTypeMask == layout.ModeDir)
		if err == nil {
			m.dirPath, m.dir = dir, p.dir
		}
		return p, err
	}
	p := place{dir: m.dir, name: base}
	w := walker{fs: m.fs, r: m.h}
	switch _, err := w.step(p); {
	case err == nil:
		return p, fs.ErrExist
	case !isNotExist(err):
		return p, err
	}
	return p, nil
}

// fill completes an inode before it gets its name.
func (m *maker) fill(e *Entry, p place, ino layout.Ino, rec layout.Inode) error {
	switch e.Mode & layout.ModeTypeMask {
	case layout.ModeRegular:
		return m.content(e, ino, rec)
	case layout.ModeDir:
		return m.fs.initDir(m.h, ino, rec, p.dir)
	case layout.ModeSymlink:
		return m.fs.initSymlink(m.h, ino, rec, e.Target)
	}
	return m.fs.initSpecial(rec, e.Mode&layout.ModeTypeMask, e.Major, e.Minor)
}

// content gives a regular file its size and its data, in blocks or, if it fits there, in the inode.
func (m *maker) content(e *Entry, ino layout.Ino, rec layout.Inode) error {
	bs := m.fs.geo.BlockSize
	if len(e.Data) == 1 && e.Data[0].Off == 0 && int64(len(e.Data[0].Data)) == e.Size {
		room, err := m.fs.inlineRoom(m.h, ino, rec)
		if err != nil {
			return err
		}
		if e.Size <= int64(room) {
			if err := m.fs.putInline(m.h, ino, e.Data[0].Data); err != nil {
				return err
			}
			return m.fs.inodes.SetSize(m.h, ino, uint64(e.Size))
		}
	}
	for _, piece := range e.Data {
		if piece.Off%int64(bs) != 0 || piece.Off+int64(len(piece.Data)) > e.Size {
			return fmt.Errorf("content at %d, %d bytes of %d: %w", piece.Off, len(piece.Data), e.Size, syscall.EINVAL)
		}
		l, data := layout.Lblk(piece.Off/int64(bs)), piece.Data
		for len(data) > 0 {
			x, err := m.fs.extents.Allocate(m.h, ino, l, uint32((len(data)+bs-1)/bs), false)
			if err != nil {
				return err
			}
			k := min(len(data), int(x.Len)*bs)
			m.add(x, data[:k])
			l, data = l+layout.Lblk(x.Len), data[k:]
		}
	}
	if e.Size > m.fs.maxSize() {
		return syscall.EFBIG
	}
	return m.fs.inodes.SetSize(m.h, ino, uint64(e.Size))
}

// add notes content for an extent.
func (m *maker) add(x layout.Extent, data []byte) {
	if n := len(m.runs); n == 0 || m.runs[n-1].end != x.Pblk {
		m.runs = append(m.runs, run{start: x.Pblk, end: x.Pblk})
	}
	r := &m.runs[len(m.runs)-1]
	r.end += layout.Pblk(x.Len)
	r.pieces = append(r.pieces, data)
}

// own sets owner, permissions and times: last, past what is inherited and what a list of access rights does to the mode.
func (m *maker) own(e *Entry, ino layout.Ino) error {
	rec, err := m.fs.inodes.Edit(m.h, ino)
	if err != nil {
		return err
	}
	rec.SetUID(e.UID)
	rec.SetGID(e.GID)
	perm := e.Mode & layout.ModePermMask
	if e.Mode&layout.ModeTypeMask == layout.ModeSymlink {
		perm = 0o777
	}
	rec.SetMode(rec.Type() | perm)
	if !e.Atime.IsZero() {
		rec.SetAtime(e.Atime)
	}
	if !e.Mtime.IsZero() {
		rec.SetMtime(e.Mtime)
	}
	return nil
}

// write puts the content on the device, adjacent blocks in one go.
func (m *maker) write() error {
	bs := m.fs.geo.BlockSize
	buf := aio.AlignedBuf(writeAtOnce, max(m.fs.dev.Align(), 1))
	for _, r := range m.runs {
		off, n := int64(r.start)*int64(bs), 0
		flush := func() error {
			_, err := m.fs.dev.WriteAt(buf[:n], off)
			off, n = off+int64(n), 0
			return err
		}
		for _, data := range r.pieces {
			for len(data) > 0 {
				if n == len(buf) {
					if err := flush(); err != nil {
						return err
					}
				}
				k := copy(buf[n:], data)
				data, n = data[k:], n+k
			}
			pad := (bs - n%bs) % bs
			clear(buf[n : n+pad])
			n += pad
		}
		if err := flush(); err != nil {
			return err
		}
	}
	return nil
}

// writeAtOnce is the most that goes to the device in one write, bytes: a multiple of every block size.
const writeAtOnce = 4 << 20
