package main

import (
	"fmt"
	"io/fs"
	"time"

	"ext4img/ext4"
	"ext4img/ext4/layout"
)

// fileEntry is one file in JSON.
type fileEntry struct {
	Path   string    `json:"path"`
	Name   string    `json:"name"`
	Type   string    `json:"type"`
	Inode  uint32    `json:"inode"`
	Mode   string    `json:"mode"` // octal
	Links  uint16    `json:"links"`
	UID    uint32    `json:"uid"`
	GID    uint32    `json:"gid"`
	Size   int64     `json:"size"`
	Blocks uint64    `json:"blocks"` // of 512 bytes
	Mtime  time.Time `json:"mtime"`
	Target string    `json:"target,omitempty"` // of a symbolic link
	Device string    `json:"device,omitempty"` // major:minor
}

// newEntry describes an inode. The entry is good but for the target if that cannot be read.
func newEntry(in ext4.Inode, name string, info *ext4.FileInfo) (e fileEntry, err error) {
	s := info.Stat()
	e = fileEntry{
		Path: name, Name: info.Name(), Type: typeName(info.Mode()), Inode: s.Ino, Mode: fmt.Sprintf("%04o", s.Mode&0o7777),
		Links: s.Links, UID: s.UID, GID: s.GID, Size: s.Size, Blocks: s.Blocks, Mtime: s.Mtime,
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		e.Target, err = in.Readlink()
	case info.Mode()&fs.ModeDevice != 0:
		e.Device = fmt.Sprintf("%d:%d", s.Major, s.Minor)
	}
	return e, reason(err)
}

func typeLetter(m fs.FileMode) byte {
	switch {
	case m.IsDir():
		return 'd'
	case m&fs.ModeSymlink != 0:
		return 'l'
	case m&fs.ModeCharDevice != 0:
		return 'c'
	case m&fs.ModeDevice != 0:
		return 'b'
	case m&fs.ModeNamedPipe != 0:
		return 'p'
	case m&fs.ModeSocket != 0:
		return 's'
	case m&fs.ModeIrregular != 0:
		return '?'
	}
	return '-'
}

func typeName(m fs.FileMode) string {
	switch typeLetter(m) {
	case 'd':
		return "directory"
	case 'l':
		return "symlink"
	case 'c':
		return "character device"
	case 'b':
		return "block device"
	case 'p':
		return "fifo"
	case 's':
		return "socket"
	case '?':
		return "unknown"
	}
	return "regular file"
}

// flagNames are the names of i_flags.
func flagNames(flags uint32) []string {
	names := []string{}
	for _, f := range []struct {
		bit  uint32
		name string
	}{
		{layout.FlagSync, "sync"}, {layout.FlagImmutable, "immutable"}, {layout.FlagAppend, "append"}, {layout.FlagNoDump, "nodump"},
		{layout.FlagNoAtime, "noatime"}, {layout.FlagEncrypt, "encrypt"}, {layout.FlagIndex, "index"}, {layout.FlagJournalData, "journal_data"},
		{layout.FlagNoTail, "notail"}, {layout.FlagDirSync, "dirsync"}, {layout.FlagTopDir, "topdir"}, {layout.FlagHugeFile, "huge_file"},
		{layout.FlagExtents, "extents"}, {layout.FlagVerity, "verity"}, {layout.FlagEAInode, "ea_inode"}, {layout.FlagInlineData, "inline_data"},
		{layout.FlagProjInherit, "project_inherit"}, {layout.FlagCasefold, "casefold"},
	} {
		if flags&f.bit != 0 {
			names = append(names, f.name)
			flags &^= f.bit
		}
	}
	if flags != 0 {
		names = append(names, fmt.Sprintf("0x%x", flags))
	}
	return names
}
