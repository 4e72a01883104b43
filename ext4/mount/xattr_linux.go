//go:build !386 && !arm && !mips && !mipsle

package mount

import (
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// GetXAttr reads an attribute. Without room for it the status is ERANGE and the number how much is needed.
func (s *server) GetXAttr(_ <-chan struct{}, in *fuse.InHeader, attr string, dest []byte) (uint32, fuse.Status) {
	value, err := s.inode(in.NodeId).Xattr(attr)
	if err != nil {
		return 0, s.status(err)
	}
	return give(dest, value)
}

func give(dest, value []byte) (uint32, fuse.Status) {
	if len(dest) < len(value) {
		return uint32(len(value)), fuse.ERANGE
	}
	return uint32(copy(dest, value)), fuse.OK
}

// ListXAttr lists attributes: those of root for root alone.
func (s *server) ListXAttr(_ <-chan struct{}, in *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	names, err := s.inode(in.NodeId).Xattrs()
	if err != nil {
		return 0, s.status(err)
	}
	var list []byte
	for _, name := range names {
		if in.Uid == 0 || !strings.HasPrefix(name, "trusted.") {
			list = append(append(list, name...), 0)
		}
	}
	return give(dest, list)
}

// SetXAttr sets an attribute.
func (s *server) SetXAttr(_ <-chan struct{}, in *fuse.SetXAttrIn, attr string, data []byte) fuse.Status {
	if status := s.changeable(); status != fuse.OK {
		return status
	}
	if uint64(len(data)) < uint64(in.Size) {
		return fuse.Status(syscall.EINVAL)
	}
	return s.status(s.inode(in.NodeId).SetXattr(attr, data[:in.Size], int(in.Flags)))
}

// RemoveXAttr removes an attribute.
func (s *server) RemoveXAttr(_ <-chan struct{}, in *fuse.InHeader, attr string) fuse.Status {
	if status := s.changeable(); status != fuse.OK {
		return status
	}
	return s.status(s.inode(in.NodeId).RemoveXattr(attr))
}
