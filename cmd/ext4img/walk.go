package main

import (
	"errors"
	"io/fs"
	"path"

	"ext4img/ext4"
)

func lstat(f *ext4.FS, name string) (*ext4.FileInfo, error) {
	i, err := f.Lstat(name)
	if err != nil {
		return nil, err
	}
	return i.(*ext4.FileInfo), nil
}

func stat(f *ext4.FS, name string) (*ext4.FileInfo, error) {
	i, err := f.Stat(name)
	if err != nil {
		return nil, err
	}
	return i.(*ext4.FileInfo), nil
}

// find is what a path leads to; follow: a symbolic link at its end is followed.
func find(f *ext4.FS, name string, follow bool) (ext4.Inode, *ext4.FileInfo, error) {
	in, err := f.Find(name, follow)
	if err != nil {
		return in, nil, err
	}
	info, err := in.Stat(path.Base(path.Clean(name)))
	return in, info, reason(err)
}

// reason is an error without the path that an fs.PathError gives: of an inode, where the caller knows a better one.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// eachOf calls fn with each path, until it returns an error.
func eachOf(paths []string, fn func(name string) error) error {
	for _, p := range paths {
		if err := fn(p); err != nil {
			return err
		}
	}
	return nil
}

// inoSet is a set of inode numbers.
type inoSet map[uint32]*[inoPiece / 64]uint64

// inoPiece is how many numbers share a piece of memory.
const inoPiece = 1 << 15

// add adds a number, and tells whether it is new.
func (s inoSet) add(ino uint32) bool {
	p := s[ino/inoPiece]
	if p == nil {
		p = new([inoPiece / 64]uint64)
		s[ino/inoPiece] = p
	}
	word, bit := &p[ino%inoPiece/64], uint64(1)<<(ino%64)
	added := *word&bit == 0
	*word |= bit
	return added
}
