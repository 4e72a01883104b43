package main

import (
	"ext4img/aio/block"
	"ext4img/ext4/layout"
)

// These put checksums right again after a change, so that the defect is in the meaning. They are written apart from the
// program's own where those look at the structure first, and so would not seal what a mutation has broken.

func (m *image) sealInode(ino layout.Ino) { layout.InodeType{G: m.g, Ino: ino}.Seal(m.inode(ino)) }

func (m *image) sealDesc(group layout.Group) {
	layout.DescType{G: m.g, Group: group}.Seal(m.desc(group))
}

func (m *image) sealBitmap(group layout.Group, inodes bool) {
	d := m.desc(group)
	if m.g.MetadataCsum() && inodes {
		d.SetInodeBitmapCsum(m.g.BitmapChecksum(m.block(d.InodeBitmap()), true))
	} else if m.g.MetadataCsum() {
		d.SetBlockBitmapCsum(m.g.BitmapChecksum(m.block(d.BlockBitmap()), false))
	}
	m.sealDesc(group)
}

func (m *image) seed(ino layout.Ino) uint32 { return m.g.InodeSeed(ino, m.inode(ino).Generation()) }

func (m *image) sealNode(n node) {
	if n.block == 0 {
		m.sealInode(n.ino)
		return
	}
	end := n.at + 12 + 12*int(le.Uint16(m.b[n.at+4:]))
	if m.g.MetadataCsum() && end+4 <= n.at+m.g.BlockSize {
		le.PutUint32(m.b[end:], block.Crc32c(m.seed(n.ino), m.b[n.at:end]))
	}
}

func (m *image) sealDir(d dirBlock) {
	p := m.block(d.block)
	if end := len(p) - 12; m.g.MetadataCsum() && p[end+7] == 0xDE {
		le.PutUint32(p[len(p)-4:], block.Crc32c(m.seed(d.ino), p[:end]))
	}
}

// dxAt is where limit and count of an index block stand.
func dxAt(d dirBlock) int {
	if d.lblk == 0 {
		return 0x20
	}
	return 8
}

func (m *image) sealDx(d dirBlock) {
	p, at := m.block(d.block), dxAt(d)
	tail, end := at+8*int(le.Uint16(p[at:])), at+8*int(le.Uint16(p[at+2:]))
	if !m.g.MetadataCsum() || tail+8 > len(p) || end > len(p) {
		return
	}
	c := block.Crc32c(m.seed(d.ino), p[:end])
	c = block.Crc32c(c, p[tail:tail+4])
	le.PutUint32(p[tail+4:], block.Crc32c(c, make([]byte, 4)))
}

func (m *image) sealXattr(d dirBlock) {
	p := m.block(d.block)
	if !m.g.MetadataCsum() {
		return
	}
	clear(p[0x10:0x14])
	number := le.AppendUint64(nil, uint64(d.block))
	le.PutUint32(p[0x10:], block.Crc32c(block.Crc32c(m.g.CsumSeed, number), p))
}

func (m *image) sealJournal(p []byte) {
	if be.Uint32(p[0x28:])&0x18 != 0 {
		clear(p[0xFC:0x100])
		be.PutUint32(p[0xFC:], block.Crc32c(^uint32(0), p[:1024]))
	}
}

func (m *image) sealOrphans(ino layout.Ino, at layout.Pblk) {
	if p := m.block(at); m.g.MetadataCsum() {
		c := block.Crc32c(m.seed(ino), le.AppendUint64(nil, uint64(at)))
		le.PutUint32(p[len(p)-4:], block.Crc32c(c, p[:len(p)-8]))
	}
}
