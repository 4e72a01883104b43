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

// nameList is the names of a directory, compactly: records of six bytes and a name, in pieces that never move.
type nameList struct {
	pieces [][]byte
	order  []uint64 // where each record is: its piece, and its offset there
	at     int      // how many next has returned
}

const (
	namePiece = 1 << 16 // bytes in a piece
	nameHead  = 6       // bytes before a name: inode, type, length
)

// maxBad is how many errors of one directory are told one by one.
const maxBad = 100

// names reads a directory's names but "." and "..", sorted, and what cannot be read of it. err is that of ctx.
func (f *FS) names(ctx context.Context, ino layout.Ino) (l *nameList, bad []error, err error) {
	l = &nameList{}
	more := 0
	v := f.j.View()
	defer v.Close()
	err = f.dirs.Scan(v, ino, func(e dir.Entry) (bool, error) {
		if e.Name != "." && e.Name != ".." {
			l.add(e)
		}
		return true, ctx.Err()
	}, func(err error) error {
		if len(bad) < maxBad {
			bad = append(bad, kind(err))
		} else {
			more++
		}
		return ctx.Err()
	})
	switch {
	case ctx.Err() != nil:
		return nil, nil, context.Cause(ctx)
	case err != nil:
		bad = append(bad, kind(err))
	case more > 0:
		bad = append(bad, layout.Corruptf("directory %d: %d more such parts", ino, more))
	}
	slices.SortFunc(l.order, func(a, b uint64) int { return bytes.Compare(l.name(a), l.name(b)) })
	return l, bad, nil
}

func (l *nameList) add(e dir.Entry) {
	last := len(l.pieces) - 1
	if last < 0 || len(l.pieces[last])+nameHead+len(e.Name) > namePiece {
		l.pieces, last = append(l.pieces, make([]byte, 0, min(namePiece, 1024<<(2*min(len(l.pieces), 3))))), last+1
	}
	p := l.pieces[last]
	l.order = append(l.order, uint64(last)*namePiece+uint64(len(p)))
	p = binary.LittleEndian.AppendUint32(p, uint32(e.Ino))
	l.pieces[last] = append(append(p, e.Type, uint8(len(e.Name))), e.Name...)
}

func (l *nameList) record(at uint64) []byte { return l.pieces[at/namePiece][at%namePiece:] }

func (l *nameList) name(at uint64) []byte {
	p := l.record(at)
	return p[nameHead : nameHead+int(p[nameHead-1])]
}

// next is the next name; false at the end.
func (l *nameList) next() (DirEntry, bool) {
	if l.at >= len(l.order) {
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

// done tells that next has returned all names.
func (l *nameList) done() bool { return l.at >= len(l.order) }
