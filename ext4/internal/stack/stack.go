// Package stack opens a file system in memory with the packages of ext4/internal one above the other, for tests of those at
// the top. They must be in a package of their own, such as dir_test; tests inside a package below start from bare.FS.
package stack

import (
	"os"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/ext4/internal/dir"
	"ext4img/ext4/internal/extent"
	"ext4img/ext4/internal/group"
	"ext4img/ext4/internal/inode"
	"ext4img/ext4/internal/volume"
	"ext4img/ext4/internal/xattr"
	"ext4img/testimages/bare"
	"ext4img/testimages/judge"
)

// Stack is a file system. The test says what a handle of Do needs: Credits.
type Stack struct {
	*bare.FS
	Space  *group.Space
	Inodes *inode.Table
	Map    *extent.Mapper
	Attrs  *xattr.Store
	Dirs   *dir.Dirs
}

// Mke2fs makes an empty image. An option -E of the caller's replaces the one here.
func Mke2fs(t testing.TB, size string, options ...string) *simdev.Image {
	t.Helper()
	common := []string{"-E", "lazy_itable_init=1,hash_seed=12345678-9abc-4def-8123-456789abcdef"}
	return judge.Image(t, size, append(common, options...)...)
}

// New opens a copy of an image.
func New(t bare.T, image *simdev.Image) *Stack {
	t.Helper()
	return Over(bare.New(t, image))
}

// Over puts the packages over a journal.
func Over(f *bare.FS) *Stack {
	s := &Stack{FS: f}
	s.Resting = group.ErrResting
	s.build()
	return s
}

func (s *Stack) build() {
	l := volume.Wire(s.G, s.J, nil)
	s.Space, s.Inodes, s.Map, s.Attrs, s.Dirs = l.Space, l.Inodes, l.Extents, l.Attrs, l.Dirs
}

// Open opens the file system that lies on the device again.
func (s *Stack) Open(t bare.T) {
	t.Helper()
	s.FS.Open(t)
	s.build()
}

// Mounted lets the kernel show a file of this file system. Blocks larger than its pages it cannot: then it is false.
func (s *Stack) Mounted(t testing.TB, path string, look func(root string)) bool {
	t.Helper()
	if s.G.BlockSize > os.Getpagesize() {
		return false
	}
	judge.Mount(t, path, "ro,noload", look)
	return true
}
