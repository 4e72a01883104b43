package xattr_test

import (
	"os"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/ext4/internal/extent"
	"ext4img/ext4/internal/group"
	"ext4img/ext4/internal/inode"
	"ext4img/ext4/internal/xattr"
	"ext4img/testimages/bare"
	"ext4img/testimages/judge"
)

// world is a file system in memory.
type world struct {
	*bare.FS
	space  *group.Space
	inodes *inode.Table
	m      *extent.Mapper
	attrs  *xattr.Store
}

// mke2fs makes an empty image. An option -E of the caller's replaces the one here.
func mke2fs(t testing.TB, size string, args ...string) *simdev.Image {
	t.Helper()
	common := []string{"-E", "lazy_itable_init=1,hash_seed=12345678-9abc-4def-8123-456789abcdef"}
	return judge.Image(t, size, append(common, args...)...)
}

// newWorld opens a copy of the image.
func newWorld(t bare.T, image *simdev.Image) *world {
	t.Helper()
	w := &world{FS: bare.New(t, image)}
	w.stack()
	return w
}

// open opens the file system that lies on the device again.
func (w *world) open(t bare.T) {
	t.Helper()
	w.Open(t)
	w.stack()
}

// stack puts the packages over the journal.
func (w *world) stack() {
	w.space = group.New(w.G, w.J)
	w.inodes = inode.New(w.space)
	w.m = extent.New(w.space, w.inodes)
	w.attrs = xattr.New(w.space, w.inodes, w.m)
	w.Credits, w.Resting = w.attrs.Credits(), group.ErrResting
}

// mounted lets the kernel show a clean image. Blocks larger than its pages it cannot.
func (w *world) mounted(t testing.TB, path string, look func(root string)) {
	t.Helper()
	if w.G.BlockSize <= os.Getpagesize() {
		judge.Mount(t, path, "ro,noload", look)
	}
}
