//go:build !unix

package aio

func mapMemory(n int) ([]byte, error) { return AlignedBuf(n, 4096), nil }

func unmapMemory([]byte) error { return nil }
