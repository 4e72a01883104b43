package xattr_test

import (
	"ext4img/aio/simdev"
	"ext4img/ext4/internal/stack"
	"ext4img/ext4/layout"
	"ext4img/testimages/bare"
)

// world is a file system in memory.
type world struct{ *stack.Stack }

// newWorld opens a copy of the image.
func newWorld(t bare.T, image *simdev.Image) *world {
	t.Helper()
	w := &world{stack.New(t, image)}
	w.Credits = w.Attrs.Credits(layout.XattrMaxValue)
	return w
}
