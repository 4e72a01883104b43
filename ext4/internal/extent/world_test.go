package extent

import (
	"encoding/binary"
	"fmt"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/ext4/internal/group"
	"ext4img/ext4/internal/inode"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/journal/buf"
	"ext4img/testimages/bare"
	"ext4img/testimages/judge"
)

// world is a file system in memory with one empty file.
type world struct {
	*bare.FS
	space  *group.Space
	inodes *inode.Table
	m      *Mapper
	ino    layout.Ino
	free   uint64 // at the start
}

// mke2fs makes an image with one empty file, f0.
func mke2fs(t testing.TB, size string, args ...string) *simdev.Image {
	t.Helper()
	return judge.Image(t, size, append([]string{"-d", judge.Tree(t, 1)}, args...)...)
}

// newWorld opens a copy of the image.
func newWorld(t bare.T, image *simdev.Image, nodeLimit int) *world {
	t.Helper()
	w := &world{FS: bare.New(t, image), ino: judge.FirstFile}
	w.Credits, w.Resting = 240, group.ErrResting
	w.stack(nodeLimit)
	w.free = w.freeNow(t)
	return w
}

// stack opens the packages above the journal.
func (w *world) stack(nodeLimit int) {
	w.space = group.New(w.G, w.J)
	w.inodes = inode.New(w.space, nil)
	w.m = New(w.space, w.inodes)
	w.m.nodeLimit = nodeLimit
}

func (w *world) freeNow(t bare.T) uint64 {
	t.Helper()
	v := w.J.View()
	defer v.Close()
	s, err := w.space.Super(v)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return s.FreeBlocksCount()
}

// judged closes the world and hands the image to e2fsck.
func (w *world) judged(t *testing.T) string {
	t.Helper()
	path := w.Save(t)
	judge.Fsck(t, path)
	return path
}

func (w *world) setSize(t bare.T, blocks uint64) {
	t.Helper()
	w.Must(t, func(h *journal.Handle) error { return w.inodes.SetSize(h, w.ino, blocks*uint64(w.G.BlockSize)) })
}

// mapped is the physical block to which a block of a file is mapped, and its state.
type mapped struct {
	p         uint64
	unwritten bool
}

type audit struct {
	*world
	v      *journal.View
	gen    uint32
	blocks map[uint64]mapped // by logical block
	owned  map[uint64]string // by physical cluster: its use
	nodes  int
	depth  int
	err    error
}

// audit reads the file's map with code of its own, and checks everything that must always hold.
func (w *world) audit() (*audit, error) {
	v := w.J.View()
	defer v.Close()
	a := &audit{world: w, v: v, blocks: map[uint64]mapped{}, owned: map[uint64]string{}}
	raw, err := w.inodes.Read(v, w.ino)
	if err != nil {
		return nil, err
	}
	a.gen = raw.Generation()
	if raw.HasFlag(layout.FlagExtents) {
		a.depth = int(binary.LittleEndian.Uint16(raw.Block()[6:]))
		err = a.node(raw.Block(), a.depth, true, 0, 1<<32-1)
	} else {
		err = a.lists(raw.Block())
	}
	if err != nil {
		return nil, err
	}
	used := uint64(len(a.owned)) * uint64(w.G.ClusterRatio)
	if got, want := w.inodes.Blocks(raw), used*uint64(w.G.BlockSize)/512; got != want {
		return nil, fmt.Errorf("i_blocks %d sectors, want %d", got, want)
	}
	s, err := w.space.Super(v)
	if err != nil {
		return nil, err
	}
	if got := s.FreeBlocksCount(); got+used != w.free {
		return nil, fmt.Errorf("%d blocks free and %d in use, want %d together", got, used, w.free)
	}
	return a, nil
}

// bufRef refers to a block as bytes of no type.
func (w *world) bufRef(block layout.Pblk) buf.Ref {
	return buf.Ref{Block: uint64(block), Len: w.G.BlockSize, Type: layout.PlainType{Name: "audited block"}}
}

func (a *audit) raw(block uint64) ([]byte, error) { return a.v.Read(a.bufRef(layout.Pblk(block))) }

func (a *audit) own(p uint64, what string) error {
	cluster := p / uint64(a.G.ClusterRatio)
	if old, taken := a.owned[cluster]; taken && (a.G.ClusterRatio == 1 || old != what) {
		return fmt.Errorf("block %d: %s and %s", p, old, what)
	}
	a.owned[cluster] = what
	return nil
}

// node checks a node, and the nodes below it, all within [from, to).
func (a *audit) node(b []byte, depth int, root bool, from, to uint64) error {
	le := binary.LittleEndian
	entries, most := int(le.Uint16(b[2:])), (len(b)-12)/12
	if le.Uint16(b) != 0xF30A || int(le.Uint16(b[4:])) != most || int(le.Uint16(b[6:])) != depth {
		return fmt.Errorf("header % x, want depth %d, eh_max %d", b[:12], depth, most)
	}
	if a.m.nodeLimit > 0 {
		most = min(most, a.m.nodeLimit)
	}
	if entries > most || entries == 0 && (!root || depth > 0) {
		return fmt.Errorf("%d entries at depth %d, want at most %d", entries, depth, most)
	}
	at := from
	for i := range entries {
		e := b[12+12*i:]
		key := uint64(le.Uint32(e))
		if key < at || i == 0 && !root && key != from {
			return fmt.Errorf("entry %d at depth %d: key %d after %d", i, depth, key, at)
		}
		if depth == 0 {
			if at = a.extent(e, key); a.err != nil {
				return a.err
			}
			if at > to {
				return fmt.Errorf("extent at %d ends at %d, range at %d", key, at, to)
			}
			continue
		}
		next := to
		if i+1 < entries {
			next = uint64(le.Uint32(e[12:]))
		}
		block := uint64(le.Uint32(e[4:])) | uint64(le.Uint16(e[8:]))<<32
		a.nodes++
		if err := a.own(block, fmt.Sprintf("node at depth %d of %d", depth-1, key)); err != nil {
			return err
		}
		below, err := a.raw(block)
		if err != nil {
			return err
		}
		if err := a.node(below, depth-1, false, key, next); err != nil {
			return err
		}
		at = key + 1
	}
	return nil
}

// extent checks a raw extent and returns its end.
func (a *audit) extent(e []byte, key uint64) uint64 {
	le := binary.LittleEndian
	n, unwritten := uint64(le.Uint16(e[4:])), false
	if n > 32768 {
		n, unwritten = n-32768, true
	}
	p := uint64(le.Uint32(e[8:])) | uint64(le.Uint16(e[6:]))<<32
	ratio := uint64(a.G.ClusterRatio)
	if n == 0 || p%ratio != key%ratio {
		a.err = fmt.Errorf("extent at %d: length %d, block %d", key, n, p)
	}
	for i := range n {
		if err := a.own(p+i, fmt.Sprintf("data of cluster %d", (key+i)/ratio)); err != nil {
			a.err = err
		}
		a.blocks[key+i] = mapped{p + i, unwritten}
	}
	return key + n
}

// lists checks a map by block numbers.
func (a *audit) lists(iblock []byte) error {
	le := binary.LittleEndian
	per := uint64(a.G.BlockSize / 4)
	for i := range 12 {
		if p := uint64(le.Uint32(iblock[4*i:])); p != 0 {
			a.blocks[uint64(i)] = mapped{p: p}
			if err := a.own(p, "data"); err != nil {
				return err
			}
		}
	}
	first, span := uint64(12), per
	for level := range 3 {
		if p := uint64(le.Uint32(iblock[48+4*level:])); p != 0 {
			if err := a.list(p, level, first, span/per); err != nil {
				return err
			}
		}
		first, span = first+span, span*per
	}
	return nil
}

func (a *audit) list(block uint64, level int, first, span uint64) error {
	le := binary.LittleEndian
	if err := a.own(block, "list"); err != nil {
		return err
	}
	b, err := a.raw(block)
	if err != nil {
		return err
	}
	empty := true
	for i := range uint64(len(b) / 4) {
		p := uint64(le.Uint32(b[4*i:]))
		switch {
		case p == 0:
			continue
		case level == 0:
			a.blocks[first+i] = mapped{p: p}
			err = a.own(p, "data")
		default:
			err = a.list(p, level-1, first+i*span, span/uint64(a.G.BlockSize/4))
		}
		if err != nil {
			return err
		}
		empty = false
	}
	if empty {
		return fmt.Errorf("indirect block %d is empty", block)
	}
	return nil
}
