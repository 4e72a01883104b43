package layout

import "hash/crc32"

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	crc16Table = makeCrc16Table()
)

// Crc32c continues the checksum seed over p the way ext4 and jbd2 do: CRC-32C without the inversions at the start and
// the end. A fresh checksum starts with ^uint32(0).
func Crc32c(seed uint32, p []byte) uint32 {
	return ^crc32.Update(^seed, castagnoli, p)
}

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
	return Crc32c(seed, b[:])
}
