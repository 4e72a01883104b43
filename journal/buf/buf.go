// Package buf keeps metadata blocks in memory: bounded, and with every object in them verified before it is handed out.
//
// It owns no bytes on disk. A Cache holds whole file system blocks; a Ref names one object inside one block, and a
// block remembers which of its objects have been verified, and as what:
//
//	block 1057  | inode 17 | inode 18 | inode 19 | …        one Buffer
//	              ok         ok         -                    pieces verified so far
//
// Pinned blocks (in use by a handle, or waiting for a commit) stay in the cache. Other blocks leave it when the bound
// is passed, the least recently used first. Memory that was handed out is never reused: a slice stays readable after
// its block has left the cache.
//
// The caller reads the device (see Insert) and keeps writers away from readers. The cache's own lock guards only its
// tables.
package buf

import "strconv"

// A Type says what one object on disk is: how to verify it after it was read, and how to seal it after it was
// changed. Values are comparable. The cache remembers the value that an object was verified as, and verifies the
// object again if it is asked for with another value.
//
// None of the methods keeps p. Only Seal may write to p; the others do not even change it for a moment, because
// readers share the bytes.
type Type interface {
	String() string        // "extent node of inode 12"
	Verify(p []byte) error // after a read: checksum, then Check
	Check(p []byte) error  // structure alone
	Seal(p []byte)         // store the checksum
}

// A Ref is one object inside one file system block.
type Ref struct {
	Block    uint64 // file system block
	Off, Len int    // bytes inside the block
	Type     Type
}

// In reports whether the object lies within a block of blockSize bytes.
func (r Ref) In(blockSize int) bool {
	return r.Type != nil && r.Off >= 0 && r.Len > 0 && r.Off <= blockSize-r.Len
}

// String gives the object's coordinates: "inode 12: block 1057".
func (r Ref) String() string {
	name := "object"
	if r.Type != nil {
		name = r.Type.String()
	}
	s := name + ": block " + strconv.FormatUint(r.Block, 10)
	if r.Off != 0 {
		s += "+" + strconv.Itoa(r.Off)
	}
	return s
}
