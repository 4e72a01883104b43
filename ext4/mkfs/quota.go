package mkfs

import (
	"encoding/binary"

	"ext4img/ext4/layout"
)

// A quota file of version 2, revision 1, in blocks of 1 KiB, whatever the block size of the file system: a header,
// and a radix tree over the bytes of the id, the most significant first, down to a block of records.
const (
	quotaBlock   = 1024
	quotaDepth   = 4
	quotaVersion = 1
	quotaGrace   = 7 * 24 * 3600
	quotaBlocks  = 2 + quotaDepth
)

// makeQuota makes the quota files. Everything belongs to root: the root directory and lost+found.
func (b *builder) makeQuota() error {
	if b.g.ROCompat&layout.ROCompatQuota == 0 {
		return nil
	}
	var bytes, inodes uint64
	for ino := range b.dirs {
		bytes += b.records[ino].RawBlocks() * 512
		inodes++
	}
	kinds := []struct {
		ino   layout.Ino
		magic uint32
		set   func(uint32)
	}{
		{layout.UserQuotaIno, 0xD9C01F11, b.super.SetUsrQuotaInum},
		{layout.GrpQuotaIno, 0xD9C01927, b.super.SetGrpQuotaInum},
		{0, 0xD9C03F14, b.super.SetPrjQuotaInum},
	}
	if b.g.ROCompat&layout.ROCompatProject == 0 {
		kinds = kinds[:2]
	}
	for _, k := range kinds {
		if k.ino == 0 {
			k.ino = b.nextIno()
		}
		if err := b.quotaFile(k.ino, quotaImage(k.magic, bytes, inodes)); err != nil {
			return err
		}
		k.set(uint32(k.ino))
	}
	return nil
}

func (b *builder) quotaFile(ino layout.Ino, image []byte) error {
	f := b.newFile(ino, layout.ModeRegular|0o600, 1)
	f.rec.SetFlags(layout.FlagImmutable | layout.FlagNoAtime)
	bs := uint64(b.g.BlockSize)
	n := (uint64(len(image)) + bs - 1) / bs
	if err := b.allocate(f, b.tablesEnd(), n); err != nil {
		return err
	}
	f.rec.SetSize(uint64(len(image)))
	image = append(image, make([]byte, n*bs-uint64(len(image)))...)
	for l := range n {
		if err := b.write(f.block(l), image[l*bs:(l+1)*bs]); err != nil {
			return err
		}
	}
	return nil
}

// quotaImage is a quota file with one record, for id 0.
func quotaImage(magic uint32, bytes, inodes uint64) []byte {
	le := binary.LittleEndian
	p := make([]byte, quotaBlocks*quotaBlock)
	le.PutUint32(p[0:], magic)
	le.PutUint32(p[4:], quotaVersion)
	info := p[8:]                          // struct v2_disk_dqinfo
	le.PutUint32(info[0:], quotaGrace)     // dqi_bgrace
	le.PutUint32(info[4:], quotaGrace)     // dqi_igrace
	le.PutUint32(info[12:], quotaBlocks)   // dqi_blocks
	le.PutUint32(info[20:], quotaBlocks-1) // dqi_free_entry: the block of records has room
	for level := range quotaDepth {
		le.PutUint32(p[(1+level)*quotaBlock:], uint32(2+level)) // id 0: entry 0 of every level
	}
	leaf := p[(1+quotaDepth)*quotaBlock:] // struct qt_disk_dqdbheader
	le.PutUint16(leaf[8:], 1)             // dqdh_entries
	record := leaf[16:]                   // struct v2r1_disk_dqblk
	le.PutUint64(record[24:], inodes)     // dqb_curinodes
	le.PutUint64(record[48:], bytes)      // dqb_curspace
	return p
}
