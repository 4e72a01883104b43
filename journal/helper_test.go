package journal

import (
	"errors"
	"fmt"
	"testing"

	"ext4img/aio"
	"ext4img/aio/simdev"
	"ext4img/journal/buf"
)

const (
	testBlock  = 1024
	testBlocks = 512 // of the file system, the log included
	testLogAt  = 256
	testLogLen = 128
)

// sealed is an object whose last byte is the sum of the others, and whose first is not 0xFF.
type sealed struct{ id int }

func (s sealed) String() string { return fmt.Sprintf("object %d", s.id) }
func (s sealed) Verify(p []byte) error {
	if p[len(p)-1] != sumOf(p) {
		return fmt.Errorf("sum 0x%02x, want 0x%02x: %w", p[len(p)-1], sumOf(p), errBadObject)
	}
	return s.Check(p)
}
func (s sealed) Check(p []byte) error {
	if p[0] == 0xFF {
		return fmt.Errorf("first byte: %w", errBadObject)
	}
	return nil
}
func (s sealed) Seal(p []byte) { p[len(p)-1] = sumOf(p) }

func sumOf(p []byte) (n byte) {
	for _, b := range p[:len(p)-1] {
		n += b
	}
	return n
}

var errBadObject = errors.New("bad object")

// whole is the object that fills a block.
func whole(block uint64) buf.Ref {
	return buf.Ref{Block: block, Len: testBlock, Type: sealed{int(block)}}
}

// part is the i-th object of 128 bytes in a block.
func part(block uint64, i int) buf.Ref {
	return buf.Ref{Block: block, Off: i * 128, Len: 128, Type: sealed{1000*int(block) + i}}
}

func testArea() *Area {
	return &Area{Blocks: []Run{{testLogAt, testLogLen}}, BlockSize: testBlock}
}

// format writes an empty journal superblock with the given features.
func format(t testing.TB, dev aio.Device, area *Area, f Features, compat uint32) {
	t.Helper()
	n := 0
	for _, r := range area.Blocks {
		n += int(r.Len)
	}
	s := super(make([]byte, area.BlockSize))
	putHeader(s, typeSuperV2, 0)
	putBE32(s[sBlocksize:], uint32(area.BlockSize))
	putBE32(s[sMaxlen:], uint32(n))
	putBE32(s[sFirst:], area.Super+1)
	putBE32(s[sSequence:], 1)
	putBE32(s[sCompat:], compat)
	putBE32(s[sIncompat:], uint32(f))
	copy(s[sUUID:], "0123456789abcdef")
	s.seal()
	log, err := newLogDevice(dev, *area)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.writeSuper(s); err != nil {
		t.Fatal(err)
	}
	if err := log.dev.Flush(); err != nil {
		t.Fatal(err)
	}
}

// rig is a journal on a simulated device.
type rig struct {
	t   testing.TB
	dev *simdev.Device
	cfg Config
	*Journal
}

func newRig(t testing.TB, f Features) *rig {
	t.Helper()
	return newRigForm(t, form{features: f})
}

// form is a format of the log.
type form struct {
	name     string
	features Features
	compat   uint32
}

func newRigForm(t testing.TB, f form) *rig {
	t.Helper()
	r := &rig{t: t, dev: simdev.New(testBlocks * testBlock)}
	format(t, r.dev, testArea(), f.features, f.compat)
	r.cfg = Config{Device: r.dev, BlockSize: testBlock, Blocks: testBlocks, Log: testArea()}
	r.open()
	return r
}

func (r *rig) open() {
	r.t.Helper()
	j, err := Open(r.cfg)
	r.must(err)
	r.Journal = j
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// put makes one handle that fills the blocks with v.
func (r *rig) put(v byte, blocks ...uint64) TID {
	r.t.Helper()
	h, err := r.Start(len(blocks))
	r.must(err)
	for _, b := range blocks {
		p, err := h.Create(whole(b))
		r.must(err)
		fill(p, v)
	}
	tid, err := h.Stop()
	r.must(err)
	return tid
}

func (r *rig) revoke(blocks ...uint64) TID {
	r.t.Helper()
	h, err := r.Start(1)
	r.must(err)
	for _, b := range blocks {
		h.Revoke(b)
	}
	tid, err := h.Stop()
	r.must(err)
	return tid
}

// checkpointAlone checkpoints what is committed and leaves the running transaction alone.
func (r *rig) checkpointAlone() {
	r.t.Helper()
	r.takeTurn(nil)
	defer r.endTurn()
	r.must(r.checkpoint())
}

func fill(p []byte, v byte) {
	for i := range p {
		p[i] = v
	}
	p[len(p)-1] = 0
}

// home returns the first byte of a block on the device.
func home(t testing.TB, dev aio.Device, block uint64) byte {
	t.Helper()
	p := make([]byte, testBlock)
	if err := readFull(dev, p, int64(block)*testBlock); err != nil {
		t.Fatal(err)
	}
	return p[0]
}

func (r *rig) seen(block uint64) byte {
	r.t.Helper()
	v := r.View()
	defer v.Close()
	p, err := v.Read(whole(block))
	r.must(err)
	return p[0]
}

// snapshot is the whole device.
func snapshot(t testing.TB, dev aio.Device) []byte {
	t.Helper()
	p := make([]byte, dev.Size())
	if err := readFull(dev, p, 0); err != nil {
		t.Fatal(err)
	}
	return p
}
