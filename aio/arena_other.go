//go:build !unix

package aio

import "ext4img/aio/block"

func mapMemory(n int) (mem, mapped []byte, err error) {
	mem = block.Aligned(n, 4096)
	return mem, mem, nil
}

func unmapMemory([]byte) error { return nil }
