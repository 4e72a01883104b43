package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"

	"ext4img/ext4/layout"
)

var le, be = binary.LittleEndian, binary.BigEndian

// image is a file system in memory, and the places in it that a mutation may change.
type image struct {
	name string
	b    []byte
	s    layout.Superblock
	g    *layout.Geometry

	inodes   []layout.Ino // in use, with a type
	regular  []layout.Ino
	dirs     []layout.Ino
	links    []layout.Ino // symbolic
	free     []layout.Ino
	maps     map[layout.Ino][]layout.Extent
	nodes    []node  // extent nodes, roots among them
	leaves   []entry // extents
	indexes  []entry
	pointers []pointer // of files mapped by indirect blocks
	blocks   []dirBlock
	roots    []dirBlock // of hashed directories
	dxNodes  []dirBlock
	xattrs   []dirBlock // blocks of attributes; ino is one that refers to it
	paths    []path
}

// node is an extent node; block is 0 for the one in the inode.
type node struct {
	ino   layout.Ino
	at    int
	block layout.Pblk
}

// entry is one of a node.
type entry struct {
	node
	off  int // of the entry
	i, n int // its number, and how many there are
}

// pointer is a block number at off, in the inode or in an indirect block.
type pointer struct {
	ino     layout.Ino
	off     int
	inInode bool
}

type dirBlock struct {
	ino   layout.Ino
	lblk  layout.Lblk
	block layout.Pblk
}

type path struct {
	Path string     `json:"path"`
	Type string     `json:"type"`
	Ino  layout.Ino `json:"inode"`
}

// catalogue finds out what is in a file system that has no defects. The names come from the program, by way of file.
func catalogue(name string, b []byte, program, file string) (*image, error) {
	m := &image{name: name, b: b, maps: map[layout.Ino][]layout.Extent{}}
	m.s = layout.Superblock(b[layout.SuperOffset : layout.SuperOffset+layout.SuperSize])
	g, err := layout.NewGeometry(m.s)
	if err != nil {
		return nil, err
	}
	m.g = g
	for group := range g.Groups {
		if g.GdtCsum() && m.desc(group).Flags()&layout.DescInodeUninit != 0 {
			continue
		}
		bitmap := m.block(m.desc(group).InodeBitmap())
		for i := range g.InodesPerGroup {
			ino := layout.Ino(uint32(group)*g.InodesPerGroup + i + 1)
			switch {
			case bitmap[i/8]>>(i%8)&1 == 0:
				m.free = append(m.free, ino)
			case m.inode(ino).Mode() != 0:
				m.addInode(ino)
			}
		}
	}
	out, err := exec.Command(program, "ls", "-R", "--json", file, "/").Output()
	if err != nil {
		return nil, fmt.Errorf("%s: ls: %w", name, err)
	}
	return m, json.Unmarshal(out, &m.paths)
}

func (m *image) addInode(ino layout.Ino) {
	in := m.inode(ino)
	m.inodes = append(m.inodes, ino)
	switch {
	case ino == layout.ResizeIno || ino == layout.BadBlocksIno:
		return // maps of their own kind
	case in.IsRegular() && ino >= m.g.FirstIno:
		m.regular = append(m.regular, ino)
	case in.IsDir():
		m.dirs = append(m.dirs, ino)
	case in.IsSymlink():
		m.links = append(m.links, ino)
	}
	if p := in.FileACL(); p != 0 {
		m.xattrs = append(m.xattrs, dirBlock{ino: ino, block: p})
	}
	switch {
	case in.HasFlag(layout.FlagInlineData), in.FastSymlink(), !in.IsRegular() && !in.IsDir() && !in.IsSymlink():
	case in.HasFlag(layout.FlagExtents):
		m.addNode(node{ino, m.inodeAt(ino) + 0x28, 0}, layout.InodeBlockSize)
	default:
		m.addIndirect(ino)
	}
	if in.IsDir() {
		m.addDir(ino, in.HasFlag(layout.FlagIndex))
	}
}

func (m *image) addNode(n node, size int) {
	v, err := layout.ParseExtentNode(m.b[n.at : n.at+size])
	if err != nil {
		return
	}
	m.nodes = append(m.nodes, n)
	for i := range v.Entries() {
		e := entry{n, n.at + 12 + 12*i, i, v.Entries()}
		if v.Leaf() {
			m.leaves = append(m.leaves, e)
			m.maps[n.ino] = append(m.maps[n.ino], v.Extent(i))
			continue
		}
		m.indexes = append(m.indexes, e)
		child := v.Index(i).Child
		m.addNode(node{n.ino, int(child) * m.g.BlockSize, child}, m.g.BlockSize)
	}
}

// addIndirect takes the direct blocks, and those of the first indirect block: enough to hit both kinds.
func (m *image) addIndirect(ino layout.Ino) {
	at := m.inodeAt(ino) + 0x28
	add := func(off int, lblk layout.Lblk, data, inInode bool) {
		p := layout.Pblk(le.Uint32(m.b[off:]))
		if p == 0 {
			return
		}
		m.pointers = append(m.pointers, pointer{ino, off, inInode})
		if data {
			m.maps[ino] = append(m.maps[ino], layout.Extent{Lblk: lblk, Pblk: p, Len: 1})
		}
	}
	for i := range layout.DirectBlocks + 3 {
		add(at+4*i, layout.Lblk(i), i < layout.DirectBlocks, true)
	}
	if p := int(le.Uint32(m.b[at+48:])); p != 0 {
		for i := range m.g.BlockSize / 4 {
			add(p*m.g.BlockSize+4*i, layout.Lblk(12+i), true, false)
		}
	}
}

func (m *image) addDir(ino layout.Ino, hashed bool) {
	for _, e := range m.maps[ino] {
		for i := range e.Len {
			d := dirBlock{ino, e.Lblk + layout.Lblk(i), e.Pblk + layout.Pblk(i)}
			p := m.block(d.block)
			switch {
			case hashed && d.lblk == 0:
				m.roots = append(m.roots, d)
			case hashed && le.Uint32(p) == 0 && int(le.Uint16(p[4:])) == m.g.BlockSize && le.Uint16(p[8:]) != 0:
				m.dxNodes = append(m.dxNodes, d)
			default:
				m.blocks = append(m.blocks, d)
			}
		}
	}
}

func (m *image) block(p layout.Pblk) []byte {
	return m.b[int(p)*m.g.BlockSize : (int(p)+1)*m.g.BlockSize]
}

func (m *image) desc(group layout.Group) layout.Desc {
	p, off := m.g.DescLoc(group)
	at := int(p)*m.g.BlockSize + off
	return layout.Desc(m.b[at : at+m.g.DescSize])
}

func (m *image) inodeAt(ino layout.Ino) int {
	group, i := m.g.InodeGroup(ino)
	return int(m.desc(group).InodeTable())*m.g.BlockSize + int(i)*m.g.InodeSize
}

func (m *image) inode(ino layout.Ino) layout.Inode {
	at := m.inodeAt(ino)
	return layout.Inode(m.b[at : at+m.g.InodeSize])
}

// copy gives an image with bytes of its own; the catalogue is shared.
func (m *image) copy() *image {
	c := *m
	c.b = slices.Clone(m.b)
	c.s = layout.Superblock(c.b[layout.SuperOffset : layout.SuperOffset+layout.SuperSize])
	return &c
}

// pathOf gives a path of the inode; "" where none is known.
func (m *image) pathOf(ino layout.Ino) string {
	for _, p := range m.paths {
		if p.Ino == ino {
			return p.Path
		}
	}
	return ""
}
