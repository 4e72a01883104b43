package layout

// i_blocks counts sectors of 512 bytes in 32 bits, or in 48 bits with huge_file. That bounds the blocks of a file.
const (
	sectorsLow  = 1<<32 - 1
	sectorsHuge = 1<<48 - 1
)

// mostBlocks is the number of blocks that i_blocks can count.
func (g *Geometry) mostBlocks() uint64 {
	sectors := uint64(sectorsLow)
	if g.ROCompat&ROCompatHugeFile != 0 {
		sectors = sectorsHuge
	}
	return sectors / uint64(g.BlockSize/512)
}

// MaxFileSize is the largest size of a file mapped by extents, in bytes: 2^32-1 blocks, so that the number of blocks
// also fits into 32 bits (ext4_max_size, s_maxbytes). It is also the end of the range that fallocate accepts for any
// file.
func (g *Geometry) MaxFileSize() int64 {
	blocks := uint64(MaxLblk) + 1
	if g.ROCompat&ROCompatHugeFile == 0 {
		blocks = min(blocks, g.mostBlocks())
	}
	return int64(blocks) * int64(g.BlockSize)
}

// MaxMappedSize is the largest size of a file mapped by block numbers, in bytes: the end of what the map reaches, or
// less if i_blocks cannot count that many blocks together with the map's own (ext4_max_bitmap_size,
// s_bitmap_maxbytes).
func (g *Geometry) MaxMappedSize() int64 {
	per := uint64(g.BlockSize / 4)
	reach, nodes := DirectBlocks+per+per*per+per*per*per, 1+(1+per)+(1+per+per*per)
	blocks, most := reach, g.mostBlocks()
	if reach+nodes > most {
		blocks = most - mapNodes(most, per)
	}
	return min(int64(blocks)*int64(g.BlockSize), g.MaxFileSize())
}

// mapNodes is the number of indirect blocks that a map of blocks blocks has, with per entries in each.
func mapNodes(blocks, per uint64) uint64 {
	up := func(n, unit uint64) uint64 { return (n + unit - 1) / unit }
	left := blocks - DirectBlocks - per
	if left < per*per {
		return 1 + 1 + up(left, per)
	}
	left -= per * per
	return 1 + (1 + per) + 1 + up(left, per) + up(left, per*per)
}
