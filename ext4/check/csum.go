package check

import (
	"hash/crc32"

	"ext4img/aio/block"
	"ext4img/ext4/layout"
)

// The checksums, computed independently of package layout from the description of the format.

// descChecksum computes bg_checksum of a group.
func (g *geometry) descChecksum(group uint32, d layout.Desc) uint16 {
	var num [4]byte
	le.PutUint32(num[:], group)
	switch {
	case g.csum():
		s := block.Crc32c(block.Crc32c(g.csumSeed, num[:]), d[:bgChecksum])
		return uint16(block.Crc32c(block.Crc32c(s, []byte{0, 0}), d[bgChecksum+2:]))
	case g.hasRO(layout.ROCompatGdtCsum):
		s := layout.Crc16(layout.Crc16(layout.Crc16(0xFFFF, g.uuid[:]), num[:]), d[:bgChecksum])
		return layout.Crc16(s, d[bgChecksum+2:])
	}
	return 0
}

// bitmapChecksum is the checksum of the first n bytes of a bitmap in the form in which the descriptor stores it.
func (g *geometry) bitmapChecksum(p []byte, n uint32, wide int) uint32 {
	return g.bitmapSum(block.Crc32c(g.csumSeed, p[:min(int(n), len(p))]), wide)
}

// bitmapSum is the part of a bitmap's checksum that a descriptor has room for: all of it if the descriptor is at
// least wide bytes long.
func (g *geometry) bitmapSum(sum uint32, wide int) uint32 {
	if g.descSize < wide {
		return sum & 0xFFFF
	}
	return sum
}

// inodeSeed is the seed of all checksums that belong to one inode.
func (g *geometry) inodeSeed(ino layout.Ino, generation uint32) uint32 {
	return crcWord(crcWord(g.csumSeed, uint32(ino)), generation)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crcWord continues a checksum over the four bytes of a little-endian number. It is called twice for each inode, so
// it avoids the cost of a slice.
func crcWord(crc, v uint32) uint32 {
	for range 4 {
		crc = castagnoli[byte(crc)^byte(v)] ^ crc>>8
		v >>= 8
	}
	return crc
}

// inodeChecksumOK compares an inode's checksum. A record of zeros has none.
func (g *geometry) inodeChecksumOK(ino layout.Ino, p []byte) bool {
	if !g.csum() {
		return true
	}
	wide := len(p) > 128 && le.Uint16(p[iExtraIsize:]) >= 4
	seed, got := g.inodeSeed(ino, le.Uint32(p[iGeneration:])), uint32(le.Uint16(p[iChecksumLo:]))
	if wide {
		got |= uint32(le.Uint16(p[iChecksumHi:])) << 16
	}
	sum := inodeChecksum(seed, p, wide)
	if !wide {
		sum &= 0xFFFF
	}
	return sum == got || allZero(p[:128])
}

// inodeChecksum computes the checksum of a record; wide says that the record has the upper half too. The record is
// changed during the computation and restored.
func inodeChecksum(seed uint32, p []byte, wide bool) uint32 {
	low, high := le.Uint16(p[iChecksumLo:]), uint16(0)
	le.PutUint16(p[iChecksumLo:], 0)
	if wide {
		high = le.Uint16(p[iChecksumHi:])
		le.PutUint16(p[iChecksumHi:], 0)
	}
	s := block.Crc32c(seed, p)
	le.PutUint16(p[iChecksumLo:], low)
	if wide {
		le.PutUint16(p[iChecksumHi:], high)
	}
	return s
}

// extentNodeChecksumOK compares the checksum after the entries of an extent node. max is its eh_max.
func (g *geometry) extentNodeChecksumOK(seed uint32, p []byte, max int) bool {
	tail := 12 + 12*max
	if !g.csum() || tail+4 > len(p) {
		return true
	}
	return block.Crc32c(seed, p[:tail]) == le.Uint32(p[tail:])
}

// xattrBlockChecksumOK compares the checksum of an xattr block.
func (g *geometry) xattrBlockChecksumOK(at uint64, p []byte) bool {
	if !g.csum() {
		return true
	}
	var num [8]byte
	le.PutUint64(num[:], at)
	s := block.Crc32c(block.Crc32c(g.csumSeed, num[:]), p[:hChecksum])
	s = block.Crc32c(block.Crc32c(s, make([]byte, 4)), p[hChecksum+4:])
	return s == le.Uint32(p[hChecksum:])
}

func allZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
