//go:build !unix

package aio

func mapMemory(n int) (mem, mapped []byte, err error) {
	mem = AlignedBuf(n, 4096)
	return mem, mem, nil
}

func unmapMemory([]byte) error { return nil }
