package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"ext4img/ext4/layout"
)

// tarImport is one archive on its way into an image.
type tarImport struct {
	*importer
	t      *tarReader
	told   map[string]bool // keywords that were named
	lookup func(user bool, name string) (uint32, bool)
}

// tar imports an archive.
func (im *importer) tar(ctx context.Context, t *tarReader) error {
	t.warn = func(format string, args ...any) {
		_ = im.Failed("archive", fmt.Errorf(format, args...))
	}
	x := &tarImport{importer: im, t: t, told: map[string]bool{}, lookup: im.lookupName}
	for {
		m, err := t.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := x.member(ctx, m); err != nil {
			return err
		}
	}
}

// member makes what a member is, or names it.
func (x *tarImport) member(ctx context.Context, m *tarHeader) error {
	if m.kind == 'V' { // the name of a volume
		return nil
	}
	e, err := m.entry()
	if err != nil {
		return x.Failed(m.name, err)
	}
	if e.LinkTo == "" {
		e.Xattrs = tarXattrs(m.records, x.lookup, func(key string, err error) {
			_ = x.Failed(m.name, fmt.Errorf("%s: %w", key, err)) // that ends nothing
		}, x.unknown)
	}
	var from content = &streamContent{r: x.t, block: x.block}
	switch {
	case m.sparse:
		from = &sparseContent{r: x.t, ranges: m.ranges, size: m.size, block: x.block}
	case e.LinkTo != "" || e.kind() != layout.ModeRegular:
		from = nothing{}
	}
	return unless(errLeftOut, x.add(ctx, e, from))
}

// unknown names a keyword that is not understood, once.
func (x *tarImport) unknown(key string) {
	if family, _, ok := strings.Cut(key, "."); !x.told[key] && len(x.told) < 64 {
		x.told[key] = true
		if !ok {
			family = key
		}
		x.Warn(fmt.Sprintf("extended header keyword %s is not understood, left out (%s)", key, family))
	}
}

// entry is what a member asks for.
func (m *tarHeader) entry() (e Entry, err error) {
	if m.bad != nil {
		return e, m.bad
	}
	e.Name = strings.Trim(m.name, "/")
	if e.Name == "" && m.name == "" {
		return e, errors.New("a member without a name")
	}
	dot := e.Name == "." || strings.HasSuffix(e.Name, "/.") // a directory's name for itself
	if m.kind == tarLink {
		if e.LinkTo, err = linkTarget(m.link); err == nil && (dot || strings.HasSuffix("/"+e.LinkTo, "/.")) {
			err = syscall.EISDIR
		}
		return e, err
	}
	const nobody = 1<<32 - 1 // what the kernel's calls take for "none"
	switch {
	case m.uid < 0 || m.uid >= nobody:
		return e, fmt.Errorf("owner %d: not from 0 to %d", m.uid, int64(nobody-1))
	case m.gid < 0 || m.gid >= nobody:
		return e, fmt.Errorf("group %d: not from 0 to %d", m.gid, int64(nobody-1))
	}
	kind, err := m.typeBits()
	if err != nil {
		return e, err
	}
	if dot && kind != layout.ModeDir {
		return e, syscall.EISDIR
	}
	e.Mode = kind | uint16(m.mode)&layout.ModePermMask
	e.UID, e.GID, e.Atime, e.Mtime, e.Size, e.Target = uint32(m.uid), uint32(m.gid), m.atime, m.mtime, m.size, m.link
	if e.Atime.IsZero() {
		e.Atime = e.Mtime
	}
	if kind == layout.ModeCharDev || kind == layout.ModeBlockDev {
		if m.major < 0 || m.major > 4095 || m.minor < 0 || m.minor > 1<<20-1 {
			return e, fmt.Errorf("device %d:%d: there is none with such numbers", m.major, m.minor)
		}
		e.Major, e.Minor = uint32(m.major), uint32(m.minor)
	}
	return e, nil
}

// typeBits are the bits of i_mode for a type flag. A flag that is not known is a file, as POSIX wants it.
func (m *tarHeader) typeBits() (uint16, error) {
	switch m.kind {
	case tarSymlink:
		return layout.ModeSymlink, nil
	case tarChar:
		return layout.ModeCharDev, nil
	case tarDevice:
		return layout.ModeBlockDev, nil
	case tarDir, 'D': // D: of an incremental archive, with a list of what was in it
		return layout.ModeDir, nil
	case tarFIFO:
		return layout.ModeFIFO, nil
	case 'M':
		return 0, errors.New("the rest of a file that begins in another volume")
	case 'A', 'E', 'I', 'N':
		return 0, fmt.Errorf("type %q: not a file", m.kind)
	}
	return layout.ModeRegular, nil
}

// linkTarget is the name that a hard link leads to, as GNU tar takes it: beneath the directory of import, without what
// stands up to the last "..".
func linkTarget(name string) (string, error) {
	parts := strings.Split(name, "/")
	for i := len(parts) - 1; i >= 0; i-- {
		if parts[i] == ".." {
			parts = parts[i+1:]
			break
		}
	}
	name = strings.Trim(strings.Join(parts, "/"), "/")
	if name == "" {
		return "", errors.New("a link to nothing")
	}
	return name, nil
}

// streamContent is the data of a stream: blocks of zeros become holes.
type streamContent struct {
	r     io.Reader
	block int64
	off   int64 // of what comes next
	done  bool
}

func (s *streamContent) next(buf []byte) (off int64, n int, err error) {
	for !s.done {
		n, err := io.ReadFull(s.r, buf)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			s.done = true
		} else if err != nil {
			return 0, 0, err
		}
		from, to := nonZero(buf[:n], int(max(s.block, 4096)))
		off := s.off + int64(from)
		s.off += int64(n)
		if from < to {
			return off, copy(buf, buf[from:to]), nil
		}
	}
	return 0, 0, io.EOF
}

// nonZero is the part of a buffer that has data, in whole units.
func nonZero(p []byte, unit int) (from, to int) {
	zero := func(b []byte) bool {
		for _, c := range b {
			if c != 0 {
				return false
			}
		}
		return true
	}
	for from < len(p) && zero(p[from:min(from+unit, len(p))]) {
		from = min(from+unit, len(p))
	}
	to = len(p)
	for to > from && zero(p[max((to-1)/unit*unit, from):to]) {
		to = max((to-1)/unit*unit, from)
	}
	return from, to
}
