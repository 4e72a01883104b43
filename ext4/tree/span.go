package tree

import (
	"errors"
	"fmt"
	"syscall"

	"ext4img/ext4"
)

// span is a range of bytes of a file, from start to before end.
type span struct{ start, end int64 }

// dataOf lists the ranges of a file that are not holes, in ascending order, those that touch as one. limit is how many
// bytes the image can hold: a file with more maps blocks twice.
func dataOf(in *ext4.File, size, limit int64) (list []span, err error) {
	total := int64(0)
	for off := int64(0); off < size; {
		start, err := in.Seek(off, ext4.SeekData)
		if errors.Is(err, syscall.ENXIO) {
			break
		}
		if err != nil {
			return nil, err
		}
		if off, err = in.Seek(start, ext4.SeekHole); err != nil {
			return nil, err
		}
		if total += off - start; total > limit {
			return nil, fmt.Errorf("inode %d: its blocks hold more than the image: %w", in.Ino(), ext4.ErrCorrupt)
		}
		if n := len(list); n > 0 && list[n-1].end == start {
			list[n-1].end = off
		} else {
			list = append(list, span{start, off})
		}
	}
	return list, nil
}

// total is how many bytes of data there are.
func total(list []span) (n int64) {
	for _, s := range list {
		n += s.end - s.start
	}
	return n
}

// fewer makes a list of at most max ranges by taking the smallest holes between them as data: they read as zeros.
func fewer(list []span, max int) []span {
	for gap := int64(4096); len(list) > max; gap *= 2 {
		kept := list[:1:1]
		for _, s := range list[1:] {
			if last := &kept[len(kept)-1]; s.start-last.end <= gap {
				last.end = s.end
			} else {
				kept = append(kept, s)
			}
		}
		list = kept
	}
	return list
}
