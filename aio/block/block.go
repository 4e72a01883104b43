// Package block is what every layer shares about blocks: the kinds of error that bad ones cause, their checksum, and memory
// in which a device can put them. It owns no bytes and uses nothing of the project.
package block

import (
	"errors"
	"hash/crc32"
	"unsafe"
)

// The kinds of failure that the bytes of a device can cause. Everything else is an I/O error or one of the usual fs and
// syscall errors.
var (
	// ErrCorrupt says that the bytes on the device are wrong.
	ErrCorrupt = errors.New("corrupt")
	// ErrUnsupported says that the bytes are right, but this program cannot handle them.
	ErrUnsupported = errors.New("unsupported")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Crc32c continues the checksum seed over p the way ext4 and jbd2 do: CRC-32C without the inversions at the start and
// the end. A fresh checksum starts with ^uint32(0).
func Crc32c(seed uint32, p []byte) uint32 { return ^crc32.Update(^seed, castagnoli, p) }

// Aligned allocates n zeroed bytes on the Go heap, at a multiple of align, a power of two.
func Aligned(n, align int) []byte {
	p := make([]byte, n)
	if n == 0 || IsAligned(p, align) {
		return p
	}
	p = make([]byte, n+align)
	skip := int(-addr(p) & uintptr(align-1))
	return p[skip : skip+n : skip+n]
}

// IsAligned tells whether the address of p is a multiple of align, a power of two.
func IsAligned(p []byte, align int) bool { return align <= 1 || addr(p)&uintptr(align-1) == 0 }

func addr(p []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(p))) }
