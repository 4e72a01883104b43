package layout

// Without huge_file, i_blocks counts sectors of 512 bytes in 32 bits, with it in 48: no file may have more.
const (
	sectorsLow  = 1<<32 - 1
	sectorsHuge = 1<<48 - 1
)

// mostBlocks is how many blocks a file may have for i_blocks to count them.
func (g *Geometry) mostBlocks() uint64 {
	sectors := uint64(sectorsLow)
	if g.ROCompat&ROCompatHugeFile != 0 {
		sectors = sectorsHuge
	}
	return sectors / uint64(g.BlockSize/512)
}

// MaxFileSize is the largest size of a file mapped by extents, bytes, and the end of what fallocate takes for any file:
// 2^32-1 blocks, so that the number of blocks fits into 32 bits as well (ext4_max_size, s_maxbytes).
func (g *Geometry) MaxFileSize() int64 {
	blocks := uint64(MaxLblk) + 1
	if g.ROCompat&ROCompatHugeFile == 0 {
		blocks = min(blocks, g.mostBlocks())
	}
	return int64(blocks) * int64(g.BlockSize)
}

// MaxMappedSize is the largest size of a file mapped by block numbers, bytes: what the map reaches, if i_blocks can count
// as many blocks with those of the map itself (ext4_max_bitmap_size, s_bitmap_maxbytes).
func (g *Geometry) MaxMappedSize() int64 {
	per := uint64(g.BlockSize / 4)
	reach, nodes := DirectBlocks+per+per*per+per*per*per, 1+(1+per)+(1+per+per*per)
	blocks, most := reach, g.mostBlocks()
	if reach+nodes > most {
		blocks = most - mapNodes(most, per)
	}
	return min(int64(blocks)*int64(g.BlockSize), g.MaxFileSize())
}

// mapNodes is how many indirect blocks a map of so many blocks has, per entries in each.
func mapNodes(blocks, per uint64) uint64 {
	up := func(n, unit uint64) uint64 { return (n + unit - 1) / unit }
	left := blocks - DirectBlocks - per
	if left < per*per {
		return 1 + 1 + up(left, per)
	}
	left -= per * per
	return 1 + (1 + per) + 1 + up(left, per) + up(left, per*per)
}
