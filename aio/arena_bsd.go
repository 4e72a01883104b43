//go:build unix && !linux

package aio

import "golang.org/x/sys/unix"

func mapMemory(n int) (mem, mapped []byte, err error) {
	mapped, err = unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	return mapped, mapped, err
}

func unmapMemory(mapped []byte) error { return unix.Munmap(mapped) }
