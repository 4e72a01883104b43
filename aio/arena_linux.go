package aio

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapMemory maps memory for an arena, in huge pages if it fills at least half of one. A large transfer to a buffer in
// huge pages is one segment, not one for each 4 KiB, so that no disk has to split it because of too many segments.
func mapMemory(n int) (mem, mapped []byte, err error) {
	const huge = 2 << 20
	size := n
	if n >= huge/2 {
		size = roundUp(n, huge) + huge // room to start at a multiple of huge; pages that are never touched cost nothing
	}
	mapped, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil || size == n {
		return mapped, mapped, err
	}
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(mapped))) & (huge - 1))
	unix.Madvise(mapped[skip:skip+roundUp(n, huge)], unix.MADV_HUGEPAGE) // a kernel without huge pages uses small ones
	return mapped[skip : skip+n : skip+n], mapped, nil
}

func unmapMemory(mapped []byte) error { return unix.Munmap(mapped) }
