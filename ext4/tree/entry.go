package tree

import (
	"errors"
	"io/fs"
	"time"

	"ext4img/ext4"
	"ext4img/ext4/layout"
)

// An Entry is one file on its way into or out of a file system: what an inode says of it.
type Entry struct {
	Name         string // relative to the top, with slashes; "." is the top itself
	Mode         uint16 // i_mode: type and permissions
	UID, GID     uint32
	Atime, Mtime time.Time
	Size         int64
	Target       string // of a symbolic link
	LinkTo       string // Name of an earlier entry that is the same file
	Major, Minor uint32 // of a device
	Xattrs       map[string][]byte
}

func (e *Entry) kind() uint16 { return e.Mode & layout.ModeTypeMask }

// modeOf is i_mode for an fs.FileMode.
func modeOf(m fs.FileMode) (uint16, error) {
	perm := ext4.PermBits(m)
	switch {
	case m.IsRegular():
		return layout.ModeRegular | perm, nil
	case m.IsDir():
		return layout.ModeDir | perm, nil
	case m&fs.ModeSymlink != 0:
		return layout.ModeSymlink | perm, nil
	case m&fs.ModeCharDevice != 0:
		return layout.ModeCharDev | perm, nil
	case m&fs.ModeDevice != 0:
		return layout.ModeBlockDev | perm, nil
	case m&fs.ModeNamedPipe != 0:
		return layout.ModeFIFO | perm, nil
	case m&fs.ModeSocket != 0:
		return layout.ModeSocket | perm, nil
	}
	return 0, errors.New("a file of unknown type")
}
