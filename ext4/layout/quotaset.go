package layout

// Changing a quota file. A block of records begins with a header (struct qt_disk_dqdbheader), which holds two links
// of a list and the number of records. Blocks with room for records are in a doubly linked list from dqi_free_entry.
// Unused blocks are in a singly linked list from dqi_free_blk.

// SetBlocks sets dqi_blocks.
func (h QuotaHeader) SetBlocks(n uint32) { le.PutUint32(h[0x14:], n) }

// FreeBlock is dqi_free_blk: the first unused block, or 0.
func (h QuotaHeader) FreeBlock() uint32 { return le.Uint32(h[0x18:]) }

// SetFreeBlock sets dqi_free_blk.
func (h QuotaHeader) SetFreeBlock(n uint32) { le.PutUint32(h[0x18:], n) }

// FreeEntry is dqi_free_entry: the first block of records with room, or 0.
func (h QuotaHeader) FreeEntry() uint32 { return le.Uint32(h[0x1C:]) }

// SetFreeEntry sets dqi_free_entry.
func (h QuotaHeader) SetFreeEntry(n uint32) { le.PutUint32(h[0x1C:], n) }

// QuotaRecords is a view on a block of records.
type QuotaRecords []byte

// Next is dqdh_next_free.
func (b QuotaRecords) Next() uint32 { return le.Uint32(b[0x0:]) }

// SetLinks sets dqdh_next_free and dqdh_prev_free.
func (b QuotaRecords) SetLinks(next, prev uint32) {
	le.PutUint32(b[0x0:], next)
	le.PutUint32(b[0x4:], prev)
}

// Count is dqdh_entries.
func (b QuotaRecords) Count() int { return int(le.Uint16(b[0x8:])) }

// SetCount sets dqdh_entries.
func (b QuotaRecords) SetCount(n int) { le.PutUint16(b[0x8:], uint16(n)) }

// QuotaRef is reference i of a tree block: the number of the block below, or 0.
func QuotaRef(p []byte, i int) uint32 { return le.Uint32(p[4*i:]) }

// SetQuotaRef sets reference i of a tree block.
func SetQuotaRef(p []byte, i int, block uint32) { le.PutUint32(p[4*i:], block) }

// SetID sets dqb_id.
func (e QuotaEntry) SetID(id uint32) { le.PutUint32(e[0x0:], id) }

// SetInodes sets dqb_curinodes.
func (e QuotaEntry) SetInodes(n uint64) { le.PutUint64(e[0x18:], n) }

// SetSpace sets dqb_curspace.
func (e QuotaEntry) SetSpace(n uint64) { le.PutUint64(e[0x30:], n) }

// MarkUsed sets dqb_itime to 1 in an entry that is all zero (of identifier 0), which would look unused otherwise.
func (e QuotaEntry) MarkUsed() {
	if !e.Used() {
		le.PutUint64(e[0x40:], 1)
	}
}
