package main

import (
	"fmt"

	"ext4img/ext4/layout"
)

func nameClasses() []class {
	return []class{
		{"dir.entry", dirEntry},
		{"dir.inode", dirInode},
		{"dir.name", dirName},
		{"dir.twice", dirTwice},
		{"dir.dots", dirDots},
		{"dir.zero", func(m *mutation) string {
			d := pick(m, m.blocks...)
			if m.ino = d.ino; d.ino == 0 {
				return ""
			}
			clear(m.block(d.block))
			return fmt.Sprintf("directory %d: block %d: zeros", d.ino, d.lblk)
		}},
		{"htree.root", htreeRoot},
		{"htree.entry", htreeEntry},
		{"htree.leaf", htreeLeaf},
		{"xattr.block", xattrHeader},
		{"xattr.entry", xattrEntry},
		{"xattr.inode", xattrInode},
		{"inline.file", inlineFile},
		{"inline.dir", inlineDir},
		{"symlink", symlink},
	}
}

// dirent draws an entry of a directory: the block, and where in the image the entry stands. Dots are "." and ".."; others are not.
func (m *mutation) dirent(dots bool) (d dirBlock, at int) {
	for range 50 {
		d = pick(m, m.blocks...)
		if d.ino == 0 {
			return d, 0
		}
		var all []int
		layout.DirBlockType{G: m.g}.Format().Entries(m.block(d.block)[:m.g.BlockSize-12], func(e layout.Dirent) bool {
			if e.Ino != 0 && dots == (string(e.Name) == "." || string(e.Name) == "..") {
				all = append(all, e.Off)
			}
			return true
		})
		if len(all) > 0 {
			m.ino = d.ino
			at = int(d.block)*m.g.BlockSize + pick(m, all...)
			if ino := layout.Ino(le.Uint32(m.b[at:])); !dots && m.r.IntN(2) == 0 && m.g.ValidIno(ino) {
				m.ino = ino
			}
			return d, at
		}
	}
	return d, 0
}

func dirEntry(m *mutation) string {
	d, at := m.dirent(false)
	if at == 0 {
		return ""
	}
	what := m.set(at, pick(m, field{"rec_len", 4, 16}, field{"name_len", 6, 8}, field{"file_type", 7, 8}))
	m.sealDir(d)
	return fmt.Sprintf("directory %d: %s", d.ino, what)
}

func dirInode(m *mutation) string {
	d, at := m.dirent(m.r.IntN(6) == 0)
	if at == 0 {
		return ""
	}
	to := pick(m, layout.Ino(m.g.Inodes)+1, 0xFFFFFFFF, 1, 0, 2, 7, 8, pick(m, m.free...), pick(m, m.inodes...), pick(m, m.dirs...), pick(m, m.dirs...))
	what := m.change32(at, uint64(to))
	if m.g.ValidIno(to) && m.inode(to).IsDir() && m.b[at+7] != 0 {
		m.b[at+7] = 2
	}
	m.sealDir(d)
	return fmt.Sprintf("directory %d: inode %s", d.ino, what)
}

func dirName(m *mutation) string {
	d, at := m.dirent(false)
	if at == 0 {
		return ""
	}
	i := m.r.IntN(int(m.b[at+6]))
	m.b[at+8+i] = pick[byte](m, 0, '/', '.', 'x', 0x80)
	m.sealDir(d)
	return fmt.Sprintf("directory %d: byte %d of a name %#x", d.ino, i, m.b[at+8+i])
}

// dirTwice gives one entry the inode of another.
func dirTwice(m *mutation) string {
	d, at := m.dirent(false)
	_, from := m.dirent(false)
	if at == 0 || from == 0 {
		return ""
	}
	what := m.change32(at, uint64(le.Uint32(m.b[from:])))
	m.b[at+7] = m.b[from+7]
	m.sealDir(d)
	return fmt.Sprintf("directory %d: inode %s", d.ino, what)
}

func dirDots(m *mutation) string {
	d, at := m.dirent(true)
	if at == 0 {
		return ""
	}
	what := "name"
	if m.r.IntN(3) == 0 {
		m.b[at+8] = 'x'
	} else {
		what = m.change32(at, uint64(pick(m, 0, pick(m, m.inodes...), pick(m, m.regular...), pick(m, m.dirs...))))
	}
	m.sealDir(d)
	return fmt.Sprintf("directory %d: dots: %s", d.ino, what)
}

func htreeRoot(m *mutation) string {
	d := pick(m, append(m.roots[:len(m.roots):len(m.roots)], m.dxNodes...)...)
	if m.ino = d.ino; d.ino == 0 {
		return ""
	}
	f := pick(m, field{"limit", dxAt(d), 16}, field{"count", dxAt(d) + 2, 16})
	if d.lblk == 0 && m.r.IntN(2) == 0 {
		f = pick(m, field{"hash_version", 0x1C, 8}, field{"info_length", 0x1D, 8}, field{"indirect_levels", 0x1E, 8}, field{"unused_flags", 0x1F, 8})
	}
	what := m.set(int(d.block)*m.g.BlockSize, f)
	m.sealDx(d)
	return fmt.Sprintf("directory %d: index block %d: %s", d.ino, d.lblk, what)
}

func htreeEntry(m *mutation) string {
	d := pick(m, append(m.roots[:len(m.roots):len(m.roots)], m.dxNodes...)...)
	if m.ino = d.ino; d.ino == 0 {
		return ""
	}
	base := int(d.block)*m.g.BlockSize + dxAt(d)
	n := int(le.Uint16(m.b[base+2:]))
	i := m.r.IntN(n)
	var what string
	if m.r.IntN(3) > 0 || i == 0 {
		other := le.Uint32(m.b[base+8*m.r.IntN(n)+4:])
		what = "block " + m.change32(base+8*i+4, pick(m, 0, 0xFFFFFF, 0x0FFFFFFF, uint64(other), uint64(other), m.r.Uint64N(1<<20)))
	} else {
		what = "hash " + m.change32(base+8*i, pick(m, 0, 0xFFFFFFFE, m.r.Uint64()))
	}
	m.sealDx(d)
	return fmt.Sprintf("directory %d: index block %d: entry %d: %s", d.ino, d.lblk, i, what)
}

// htreeLeaf lets two leaves change places.
func htreeLeaf(m *mutation) string {
	a, b := pick(m, m.blocks...), pick(m, m.blocks...)
	if m.ino = a.ino; a.ino == 0 || a.ino != b.ino {
		return ""
	}
	first := string(m.block(a.block))
	copy(m.block(a.block), m.block(b.block))
	copy(m.block(b.block), first)
	return fmt.Sprintf("directory %d: blocks %d and %d changed places", a.ino, a.lblk, b.lblk)
}

func xattrHeader(m *mutation) string {
	d := pick(m, m.xattrs...)
	if m.ino = d.ino; d.ino == 0 {
		return ""
	}
	what := m.set(int(d.block)*m.g.BlockSize, pick(m, field{"h_magic", 0, 32}, field{"h_refcount", 4, 32}, field{"h_blocks", 8, 32}, field{"h_hash", 0xC, 32}))
	m.sealXattr(d)
	return fmt.Sprintf("attribute block %d: %s", d.block, what)
}

var xattrFields = []field{{"e_name_len", 0, 8}, {"e_name_index", 1, 8}, {"e_value_offs", 2, 16}, {"e_value_inum", 4, 32}, {"e_value_size", 8, 32}, {"e_hash", 12, 32}}

func xattrEntry(m *mutation) string {
	d := pick(m, m.xattrs...)
	if m.ino = d.ino; d.ino == 0 {
		return ""
	}
	what := m.set(int(d.block)*m.g.BlockSize+32, pick(m, xattrFields...))
	m.sealXattr(d)
	return fmt.Sprintf("attribute block %d: first entry: %s", d.block, what)
}

func xattrInode(m *mutation) string {
	var with []layout.Ino
	for _, ino := range m.inodes {
		if in := m.inode(ino); len(in) > 160 && in.ExtraIsize() <= 32 && le.Uint32(in[128+in.ExtraIsize():]) == 0xEA020000 {
			with = append(with, ino)
		}
	}
	if m.about(with...) == 0 {
		return ""
	}
	at := m.inodeAt(m.ino) + 128 + m.inode(m.ino).ExtraIsize()
	what := m.set(at+4, pick(m, append(xattrFields, field{"h_magic", -4, 32})...))
	m.sealInode(m.ino)
	return fmt.Sprintf("inode %d: first attribute: %s", m.ino, what)
}

func (m *mutation) inline(list []layout.Ino) (out []layout.Ino) {
	for _, ino := range list {
		if m.inode(ino).HasFlag(layout.FlagInlineData) {
			out = append(out, ino)
		}
	}
	return out
}

func inlineFile(m *mutation) string {
	if m.about(m.inline(m.regular)...) == 0 {
		return ""
	}
	in := m.inode(m.ino)
	what := "flag"
	if m.r.IntN(2) == 0 {
		in.SetFlags(in.Flags() ^ pick(m, layout.FlagInlineData, layout.FlagExtents))
	} else {
		what = m.set(m.inodeAt(m.ino), pick(m, inodeFields[:3]...))
	}
	m.sealInode(m.ino)
	return fmt.Sprintf("inline file %d: %s", m.ino, what)
}

func inlineDir(m *mutation) string {
	if m.about(m.inline(m.dirs)...) == 0 {
		return ""
	}
	at := m.inodeAt(m.ino) + 0x28
	what := m.set(at, pick(m, field{"parent", 0, 32}, field{"inode", 4, 32}, field{"rec_len", 8, 16}, field{"name_len", 10, 8}, field{"file_type", 11, 8}))
	m.sealInode(m.ino)
	return fmt.Sprintf("inline directory %d: %s", m.ino, what)
}

func symlink(m *mutation) string {
	if m.about(m.links...) == 0 {
		return ""
	}
	in := m.inode(m.ino)
	n := in.Size()
	what := fmt.Sprintf("size %d", n)
	if m.r.IntN(2) == 0 && in.FastSymlink() {
		in.Block()[m.r.IntN(int(n))] = 0
		what = "NUL"
	} else {
		in.SetSize(pick(m, 0, n+1, n-1, 60, 59, 5000, uint64(m.g.BlockSize)))
	}
	m.sealInode(m.ino)
	return fmt.Sprintf("symbolic link %d: %s", m.ino, what)
}
