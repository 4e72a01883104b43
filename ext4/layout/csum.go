package layout

import "ext4img/aio/block"

var crc16Table = makeCrc16Table()

// Crc16 continues the CRC-16 (polynomial 0x8005, reflected) that descriptors carry where uninit_bg is set without
// metadata_csum. A fresh checksum starts with 0xFFFF.
func Crc16(seed uint16, p []byte) uint16 {
	for _, b := range p {
		seed = seed>>8 ^ crc16Table[byte(seed)^b]
	}
	return seed
}

func makeCrc16Table() (t [256]uint16) {
	for i := range t {
		c := uint16(i)
		for range 8 {
			if c&1 != 0 {
				c = c>>1 ^ 0xA001
			} else {
				c >>= 1
			}
		}
		t[i] = c
	}
	return t
}

// csum32 continues a checksum over a number in its on-disk form.
func csum32(seed, v uint32) uint32 {
	var b [4]byte
	le.PutUint32(b[:], v)
	return block.Crc32c(seed, b[:])
}
