package journal

import "ext4img/aio/block"

var bigEndian = makeBigEndianTable()

// crc32be continues the CRC-32 with the most significant bit first: the checksum of version 1 commit blocks.
func crc32be(seed uint32, p []byte) uint32 {
	for _, b := range p {
		seed = seed<<8 ^ bigEndian[byte(seed>>24)^b]
	}
	return seed
}

func makeBigEndianTable() (t [256]uint32) {
	for i := range t {
		c := uint32(i) << 24
		for range 8 {
			if c&(1<<31) != 0 {
				c = c<<1 ^ 0x04C11DB7
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return t
}

// sumWithHole is the CRC-32C of p with the four bytes at off taken as zero.
func sumWithHole(seed uint32, p []byte, off int) uint32 {
	var zero [4]byte
	seed = block.Crc32c(seed, p[:off])
	seed = block.Crc32c(seed, zero[:])
	return block.Crc32c(seed, p[off+4:])
}
