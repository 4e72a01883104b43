package tree

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// This file reads tar archives, as POSIX (pax, ustar), GNU tar, star and the seventh edition of Unix write it. The standard library's reader
// hides the maps of sparse files, and does not tell an archive that ends from one that was cut.

// Limits of what an archive may ask memory for.
const (
	maxTarRecords = 16 << 20 // bytes of an extended header or a long name
	maxTarRanges  = 1 << 20  // ranges of data of a sparse file
)

// Errors of archives as a whole.
var (
	// ErrNoArchive is a stream that does not begin as a tar archive.
	ErrNoArchive = errors.New("does not look like a tar archive")
	errTarCut    = errors.New("the archive ends too early: it was cut")
)

// tarHeader is what an archive says of one file.
type tarHeader struct {
	name, link   string
	kind         byte // the type flag
	mode         int64
	uid, gid     int64
	atime, mtime time.Time // atime is zero if the archive does not have it
	size         int64     // of the file, bytes
	major, minor int64
	records      map[string]string // of extended headers, global ones too
	sparse       bool              // only ranges of it are in the archive
	ranges       []tarRange
	bad          error // a header that makes no sense: the member cannot be made
}

// tarRange is a range of data in a sparse file.
type tarRange struct{ off, n int64 }

// tarReader reads an archive, one member after the other. Read returns what the archive stores of the present one.
type tarReader struct {
	r      io.Reader
	off    int64 // of the next byte in the archive
	data   int64 // bytes of the present member that were not read yet
	pad    int64 // bytes between its data and the next header
	block  [tarBlock]byte
	global map[string]string
	warn   func(format string, args ...any)
}

// next goes to the next member: io.EOF after the last one.
func (t *tarReader) next() (*tarHeader, error) {
	var ext tarExtended
	for {
		if err := t.skip(); err != nil {
			return nil, err
		}
		if err := t.header(); err != nil {
			return nil, err
		}
		m, stored := parseTarHeader(&t.block)
		if stored < 0 {
			return nil, fmt.Errorf("byte %d: %s: a size of %d bytes", t.off-tarBlock, m.name, stored)
		}
		t.data, t.pad = stored, -stored&(tarBlock-1)
		switch m.kind {
		case 'x', 'X', 'g', 'L', 'K':
			p, err := t.special()
			if err != nil {
				return nil, err
			}
			if m.kind == 'g' {
				t.global = ext.globals(t.global, p)
			} else {
				ext.add(m.kind, p)
			}
			continue
		}
		return m, t.complete(m, &ext)
	}
}

// header reads the next header that is one, into block.
func (t *tarReader) header() error {
	begin, lost := t.off, int64(0)
	for {
		if err := t.fill(); err != nil {
			if err == io.EOF && begin == 0 && lost == 0 {
				return ErrNoArchive
			}
			if err == io.EOF {
				return errTarCut
			}
			return err
		}
		switch {
		case t.block == [tarBlock]byte{}:
			return t.end()
		case tarChecksumOK(&t.block):
			if lost > 0 {
				t.warn("byte %d of the archive: %d bytes that are no header were left out", begin, lost)
			}
			return nil
		case begin == 0 && lost == 0:
			return ErrNoArchive
		}
		lost += tarBlock
	}
}

// end judges what follows a block of zeros: another one ends an archive.
func (t *tarReader) end() error {
	switch err := t.fill(); {
	case err == io.EOF:
		return io.EOF // one block of zeros: all members are there
	case err != nil:
		return err
	case t.block != [tarBlock]byte{}:
		return fmt.Errorf("byte %d: data behind a lone block of zeros", t.off-tarBlock)
	}
	return io.EOF
}

// fill reads the next block: io.EOF where the archive ends in front of it.
func (t *tarReader) fill() error {
	n, err := io.ReadFull(t.r, t.block[:])
	t.off += int64(n)
	if err == io.ErrUnexpectedEOF {
		if t.off == int64(n) {
			return ErrNoArchive
		}
		return errTarCut
	}
	return err
}

// Read reads what the archive stores of the present member.
func (t *tarReader) Read(p []byte) (int, error) {
	if t.data == 0 {
		return 0, io.EOF
	}
	n, err := t.r.Read(p[:min(int64(len(p)), t.data)])
	t.off += int64(n)
	t.data -= int64(n)
	if err == io.EOF && t.data > 0 {
		err = errTarCut
	} else if err == io.EOF {
		err = nil
	}
	return n, err
}

// skip leaves out the rest of the present member.
func (t *tarReader) skip() error {
	rest := t.data + t.pad
	n, err := io.CopyN(io.Discard, t.r, rest)
	t.off += n
	t.data, t.pad = 0, 0
	if err == io.EOF {
		err = errTarCut
	}
	return err
}

// special reads the data of a header that tells about the next one.
func (t *tarReader) special() ([]byte, error) {
	if t.data > maxTarRecords {
		return nil, fmt.Errorf("byte %d: an extended header of %d bytes, more than %d", t.off-tarBlock, t.data, maxTarRecords)
	}
	return io.ReadAll(t)
}

// complete gives a member what extended headers say, and its map.
func (t *tarReader) complete(m *tarHeader, ext *tarExtended) error {
	stored := t.data
	if err := ext.apply(m, t.global, &stored); err != nil && m.bad == nil {
		m.bad = err
	}
	if stored < 0 {
		return fmt.Errorf("byte %d: %s: a size of %d bytes", t.off-tarBlock, m.name, stored)
	}
	t.data, t.pad = stored, -stored&(tarBlock-1)
	m.size = stored
	if err := t.sparseMap(m, ext); err != nil {
		if errors.Is(err, errTarCut) {
			return err
		}
		m.bad = err
	}
	if (m.kind == 0 || m.kind == tarRegular || m.kind == '7') && strings.HasSuffix(m.name, "/") {
		m.kind = tarDir // as archives had directories before there was a type for them
	}
	return nil
}
