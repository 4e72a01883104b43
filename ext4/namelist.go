package ext4

import (
	"bytes"
	"context"
	"encoding/binary"
	"io/fs"
	"slices"

	"ext4img/ext4/internal/dir"
	"ext4img/ext4/layout"
)

// nameList holds the names of a directory compactly: records of six bytes and a name, in pieces that never move. Its
// memory is bounded. Of a larger directory it holds the first names, and reads the directory again for those that
// follow.
type nameList struct {
	fs  *FS
	ctx context.Context
	ino layout.Ino
	max int // bytes

	pieces [][]byte
	order  []uint64 // place of each record: its piece, and its offset there
	at     int      // number of names that next has returned
	size   int      // bytes of records and order
	after  []byte   // all names come after this one; nil: no bound
	upTo   []byte   // the names go up to this one; nil: to the last
	faults int      // parts that could not be read
	err    error    // why it ended early
	buf    []byte   // for the record that is added
}

const (
	namePiece = 1 << 16 // bytes in a piece
	nameHead  = 6       // bytes before a name: inode, type, length
	nameMax   = 48 << 20
)

// maxBad is the number of errors of one directory that are reported one by one.
const maxBad = 100

// listNames reads a directory's names, without "." and "..", sorted, and the errors of parts that cannot be read. err
// is that of ctx. The list takes at most max bytes.
func (f *FS) listNames(ctx context.Context, ino layout.Ino, max int) (l *nameList, bad []error, err error) {
	l = &nameList{fs: f, ctx: ctx, ino: ino, max: max}
	bad, err = l.fill()
	return l, bad, err
}

// fill reads the directory for the names after those that were returned.
func (l *nameList) fill() (bad []error, err error) {
	l.faults = 0
	v := l.fs.vol.Journal.View()
	defer v.Close()
	err = l.fs.vol.Dirs.Scan(v, l.ino, func(e dir.Entry) (bool, error) {
		l.add(e)
		return true, l.ctx.Err()
	}, func(err error) error {
		if l.faults++; l.faults <= maxBad {
			bad = append(bad, err)
		}
		return l.ctx.Err()
	})
	switch {
	case l.ctx.Err() != nil:
		return nil, context.Cause(l.ctx)
	case err != nil:
		l.faults++
		bad = append(bad, err)
	case l.faults > maxBad:
		bad = append(bad, layout.Corruptf("directory %d: %d more such parts", l.ino, l.faults-maxBad))
	}
	l.sort()
	return bad, nil
}

func (l *nameList) add(e dir.Entry) {
	name := []byte(e.Name)
	if e.Name == "." || e.Name == ".." || l.after != nil && bytes.Compare(name, l.after) <= 0 || l.upTo != nil && bytes.Compare(name, l.upTo) > 0 {
		return
	}
	l.buf = append(append(binary.LittleEndian.AppendUint32(l.buf[:0], uint32(e.Ino)), e.Type, uint8(len(name))), name...)
	l.put(l.buf)
	if l.size > l.max {
		l.halve()
	}
}

// put adds a record.
func (l *nameList) put(record []byte) {
	last := len(l.pieces) - 1
	if last < 0 || len(l.pieces[last])+len(record) > namePiece {
		l.pieces, last = append(l.pieces, make([]byte, 0, min(namePiece, 1024<<(2*min(len(l.pieces), 3))))), last+1
	}
	l.order = append(l.order, uint64(last)*namePiece+uint64(len(l.pieces[last])))
	l.pieces[last] = append(l.pieces[last], record...)
	l.size += len(record) + 8
}

func (l *nameList) sort() {
	slices.SortFunc(l.order, func(a, b uint64) int { return bytes.Compare(l.name(a), l.name(b)) })
}

// halve keeps the first names, up to half of the memory, and leaves the others for later. Equal names, which only a
// damaged directory has, stay together unless they alone fill the memory.
func (l *nameList) halve() {
	l.sort()
	from := nameList{pieces: l.pieces, order: l.order}
	l.pieces, l.order, l.size = nil, nil, 0
	var last []byte
	for _, at := range from.order {
		name := from.name(at)
		if l.size > l.max/2 && (!bytes.Equal(name, last) || l.size > l.max/4*3) {
			l.upTo = bytes.Clone(last)
			return
		}
		last = name
		l.put(from.record(at)[:nameHead+len(name)])
	}
}

// drop frees the memory; next then reads the directory again.
func (l *nameList) drop() {
	if !l.done() {
		if l.at == 0 {
			return
		}
		l.upTo = bytes.Clone(l.name(l.order[l.at-1]))
	}
	l.pieces, l.order, l.at, l.size = nil, nil, 0, 0
}

// refill reads the names after those that are held.
func (l *nameList) refill() {
	told := l.faults
	l.after, l.upTo = l.upTo, nil
	l.pieces, l.order, l.at, l.size = nil, nil, 0, 0
	bad, err := l.fill()
	if err == nil && l.faults > told {
		err = bad[0]
	}
	l.err = err
}

func (l *nameList) record(at uint64) []byte { return l.pieces[at/namePiece][at%namePiece:] }

func (l *nameList) name(at uint64) []byte {
	p := l.record(at)
	return p[nameHead : nameHead+int(p[nameHead-1])]
}

// next returns the next name. It returns false at the end, and if reading ended early: then err says why.
func (l *nameList) next() (DirEntry, bool) {
	if l.at >= len(l.order) && l.upTo != nil {
		l.refill()
	}
	if l.at >= len(l.order) || l.err != nil {
		return DirEntry{}, false
	}
	at := l.order[l.at]
	l.at++
	p := l.record(at)
	e := DirEntry{Name: string(l.name(at)), Ino: binary.LittleEndian.Uint32(p), Type: fs.ModeIrregular}
	if mode, ok := storedMode(p[4]); ok {
		e.Type = mode
	}
	return e, true
}

// done reports whether next has returned all names.
func (l *nameList) done() bool { return l.at >= len(l.order) && l.upTo == nil }
