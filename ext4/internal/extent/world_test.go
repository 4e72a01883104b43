package extent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/ext4/internal/group"
	"ext4img/ext4/internal/inode"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/journal/buf"
)

// failer is what testing.TB and rapid.T have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is a file system in memory with one empty file.
type world struct {
	dev    *simdev.Device
	g      *layout.Geometry
	j      *journal.Journal
	space  *group.Space
	inodes *inode.Table
	m      *Mapper
	ino    layout.Ino
	free   uint64 // at the start
}

const firstFile = 12 // the inode of the file that mke2fs -d copies first, beside lost+found

// mke2fs makes an image with one empty file, inode 12.
func mke2fs(t testing.TB, size string, args ...string) *simdev.Image {
	t.Helper()
	judge(t, "mke2fs")
	dir := t.TempDir()
	tree, path := filepath.Join(dir, "tree"), filepath.Join(dir, "image")
	if err := os.MkdirAll(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "f"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	args = append(append([]string{"-q", "-F", "-t", "ext4", "-d", tree}, args...), path, size)
	if out, err := exec.Command("mke2fs", args...).CombinedOutput(); err != nil {
		t.Fatalf("mke2fs %s: %v: %s", strings.Join(args, " "), err, out)
	}
	image, err := simdev.LoadImage(path)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func judge(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip("judge missing: " + name)
	}
}

// newWorld opens a copy of the image.
func newWorld(t failer, image *simdev.Image, nodeLimit int) *world {
	t.Helper()
	w := &world{dev: simdev.FromImage(image.Clone()), ino: firstFile}
	super := make([]byte, layout.SuperSize)
	if _, err := w.dev.ReadAt(super, layout.SuperOffset); err != nil {
		t.Fatalf("%v", err)
	}
	s, err := layout.ParseSuperblock(super)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if w.g, err = layout.NewGeometry(s); err != nil {
		t.Fatalf("%v", err)
	}
	if w.j, err = journal.Open(journal.Config{Device: w.dev, BlockSize: w.g.BlockSize, Blocks: w.g.Blocks}); err != nil {
		t.Fatalf("%v", err)
	}
	w.space = group.New(w.g, w.j)
	w.inodes = inode.New(w.space)
	w.m = New(w.space, w.inodes)
	w.m.nodeLimit = nodeLimit
	w.free = w.freeNow(t)
	return w
}

func (w *world) freeNow(t failer) uint64 {
	t.Helper()
	v := w.j.View()
	defer v.Close()
	s, err := w.space.Super(v)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return s.FreeBlocksCount()
}

// do runs fn in a handle of its own. Where it meets space that rests, it commits and runs it again.
func (w *world) do(t failer, fn func(h *journal.Handle) error) error {
	t.Helper()
	for range 3 {
		h, err := w.j.Start(240)
		if err != nil {
			t.Fatalf("start: %v", err)
		}
		if err = fn(h); err != nil {
			h.Cancel()
			if errors.Is(err, group.ErrResting) {
				if err := w.j.CommitAll(); err != nil {
					t.Fatalf("commit: %v", err)
				}
				continue
			}
			return err
		}
		if _, err := h.Stop(); err != nil {
			t.Fatalf("stop: %v", err)
		}
		return nil
	}
	return group.ErrResting
}

// must is do, for what must not fail.
func (w *world) must(t failer, fn func(h *journal.Handle) error) {
	t.Helper()
	if err := w.do(t, fn); err != nil {
		t.Fatalf("%v", err)
	}
}

// judged closes the world and hands the image to e2fsck.
func (w *world) judged(t *testing.T) string {
	t.Helper()
	if err := w.j.Close(); err != nil {
		t.Fatal(err)
	}
	judge(t, "e2fsck")
	path := filepath.Join(t.TempDir(), "image")
	if err := w.dev.Save(path); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("e2fsck", "-fn", path).CombinedOutput(); err != nil {
		t.Fatalf("e2fsck -fn: %v: %s", err, out)
	}
	return path
}

func (w *world) setSize(t failer, blocks uint64) {
	t.Helper()
	w.must(t, func(h *journal.Handle) error { return w.inodes.SetSize(h, w.ino, blocks*uint64(w.g.BlockSize)) })
}

// mapped is what a block of a file is mapped to.
type mapped struct {
	p         uint64
	unwritten bool
}

type audit struct {
	*world
	v      *journal.View
	gen    uint32
	blocks map[uint64]mapped // by logical block
	owned  map[uint64]string // by physical cluster: what for
	nodes  int
	depth  int
	err    error
}

// audit reads the file's map with code of its own, and checks whatever must hold at any time.
func (w *world) audit() (*audit, error) {
	v := w.j.View()
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
	used := uint64(len(a.owned)) * uint64(w.g.ClusterRatio)
	if got, want := w.inodes.Blocks(raw), used*uint64(w.g.BlockSize)/512; got != want {
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

// bufRef is a block as bytes of no type.
func (w *world) bufRef(block layout.Pblk) buf.Ref {
	return buf.Ref{Block: uint64(block), Len: w.g.BlockSize, Type: layout.PlainType{Name: "audited block"}}
}

func (a *audit) raw(block uint64) ([]byte, error) { return a.v.Read(a.bufRef(layout.Pblk(block))) }

func (a *audit) own(p uint64, what string) error {
	cluster := p / uint64(a.g.ClusterRatio)
	if old, taken := a.owned[cluster]; taken && (a.g.ClusterRatio == 1 || old != what) {
		return fmt.Errorf("block %d: %s and %s", p, old, what)
	}
	a.owned[cluster] = what
	return nil
}

// node checks a node and what lies below it, all within [from, to).
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

// extent takes in a raw extent and returns where it ends.
func (a *audit) extent(e []byte, key uint64) uint64 {
	le := binary.LittleEndian
	n, unwritten := uint64(le.Uint16(e[4:])), false
	if n > 32768 {
		n, unwritten = n-32768, true
	}
	p := uint64(le.Uint32(e[8:])) | uint64(le.Uint16(e[6:]))<<32
	ratio := uint64(a.g.ClusterRatio)
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
	per := uint64(a.g.BlockSize / 4)
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
			err = a.list(p, level-1, first+i*span, span/uint64(a.g.BlockSize/4))
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
