package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"ext4img/aio/simdev"
)

// craft writes a log by hand: in any format, at any place of the log, in any order.
type craft struct {
	*rig
	s    super
	code *codec
	pos  uint32
	time uint64
}

func newCraft(t testing.TB, f form) *craft {
	r := newRigForm(t, f)
	log, err := newLogDevice(r.dev, *testArea())
	r.must(err)
	s, err := log.readSuper()
	r.must(err)
	c := &craft{rig: r, s: s, code: s.codec(testBlock), pos: 1, time: 1000}
	c.log = log
	return c
}

// begin makes the log start at block pos with transaction tid.
func (c *craft) begin(pos uint32, tid TID) {
	c.pos = pos
	c.s.setState(pos, tid)
	c.super()
}

func (c *craft) super() {
	c.t.Helper()
	c.must(c.log.writeSuper(c.s))
	c.must(c.dev.Flush())
}

func (c *craft) block(p []byte) {
	c.t.Helper()
	c.must(c.log.write(c.pos, p))
	if c.pos++; c.pos == testLogLen {
		c.pos = 1
	}
}

// copies writes a descriptor and copies of blocks, all filled with v. It returns the version 1 checksum.
func (c *craft) copies(tid TID, v byte, blocks ...uint64) uint32 {
	c.t.Helper()
	frozen := make([]frozenBlock, len(blocks))
	for i, b := range blocks {
		frozen[i] = frozenBlock{block: b, data: make([]byte, testBlock)}
		fill(frozen[i].data, v)
	}
	p := make([]byte, testBlock)
	c.code.fillDescriptor(p, tid, frozen)
	sum := crc32be(^uint32(0), p)
	c.block(p)
	for _, f := range frozen {
		c.block(f.data)
		sum = crc32be(sum, f.data)
	}
	return sum
}

func (c *craft) revokes(tid TID, blocks ...uint64) {
	c.t.Helper()
	p := make([]byte, testBlock)
	c.code.fillRevoke(p, tid, blocks)
	c.block(p)
}

func (c *craft) commitBlock(tid TID, sum uint32) {
	c.t.Helper()
	p := make([]byte, testBlock)
	putHeader(p, typeCommit, tid)
	binary.BigEndian.PutUint64(p[commitSec:], c.time)
	c.time++
	if c.code.csumV1() {
		p[commitChksumType], p[commitChksumSize] = checksumCRC32, 4
		putBE32(p[commitChksum:], sum)
	} else if c.code.csumV2or3() {
		putBE32(p[commitChksum:], sumWithHole(c.code.seed, p, commitChksum))
	}
	c.block(p)
}

func (c *craft) whole(tid TID, v byte, blocks ...uint64) {
	c.commitBlock(tid, c.copies(tid, v, blocks...))
}

// damage changes one byte of a log block.
func (c *craft) damage(pos uint32, off int) {
	c.t.Helper()
	p := make([]byte, testBlock)
	c.must(c.log.read(pos, p))
	p[off] ^= 0x55
	c.must(c.log.write(pos, p))
}

func (c *craft) recovers(want map[uint64]byte) *Recovery {
	c.t.Helper()
	rec, err := Recover(c.dev, *testArea())
	c.must(err)
	for b, v := range want {
		if got := home(c.t, c.dev, b); got != v {
			c.t.Errorf("block %d: %d, want %d", b, got, v)
		}
	}
	return rec
}

// refused expects an error that names the log block, and an unchanged image.
func (c *craft) refused(want error, words string) {
	c.t.Helper()
	c.must(c.dev.Flush())
	before := c.dev.Hash()
	_, err := Recover(c.dev, *testArea())
	if !errors.Is(err, want) || !strings.Contains(err.Error(), words) {
		c.t.Errorf("Recover: %v, want %q", err, words)
	}
	if c.dev.Hash() != before {
		c.t.Error("the image has changed")
	}
}

func TestRecoverWrapped(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			c := newCraft(t, f)
			c.begin(testLogLen-4, 7)
			c.whole(7, 1, 10, 11, 12, 13, 14)
			c.revokes(8, 12)
			c.commitBlock(8, ^uint32(0))
			c.whole(9, 2, 13)
			c.copies(10, 3, 14)
			rec := c.recovers(map[uint64]byte{10: 1, 11: 1, 12: 0, 13: 2, 14: 1})
			if rec.Transactions != 3 || rec.Revoked != 1 || rec.First != 7 || rec.Next != 11 {
				t.Errorf("%+v", rec)
			}
		})
	}
}

// TestRecoverWrappedBeforeFastArea: a log with a fast commit area wraps where the area begins.
func TestRecoverWrappedBeforeFastArea(t *testing.T) {
	const blocks = 2048
	dev := simdev.New(3000 * testBlock)
	area := Area{Blocks: []Run{{900, blocks}}, BlockSize: testBlock}
	format(t, dev, &area, FeatureCsumV3|FeatureFastCommit, 0)
	r := &rig{t: t, dev: dev, cfg: Config{Device: dev, BlockSize: testBlock, Blocks: 3000, Log: &area}}
	r.open()
	if r.last != blocks-defaultFastBlocks {
		t.Fatalf("the log ends at %d", r.last)
	}
	s, code := r.super, r.code
	at := r.last - 1
	s.setState(at, 5)
	r.must(r.log.writeSuper(s))
	p, data := make([]byte, testBlock), make([]byte, testBlock)
	fill(data, 9)
	code.fillDescriptor(p, 5, []frozenBlock{{block: 10, data: data}})
	r.must(r.log.write(at, p))
	r.must(r.log.write(1, data))
	w := make([]byte, testBlock)
	putHeader(w, typeCommit, 5)
	putBE32(w[commitChksum:], sumWithHole(code.seed, w, commitChksum))
	r.must(r.log.write(2, w))
	rec, err := Recover(dev, area)
	r.must(err)
	if rec.Transactions != 1 || home(t, dev, 10) != 9 {
		t.Errorf("%+v", rec)
	}
}

func TestRecoverVersion1(t *testing.T) {
	c := newCraft(t, form{})
	putBE32(c.s[sBlocktype:], typeSuperV1)
	for i := sCompat; i < superSize; i++ {
		c.s[i] = 0xEE // not part of version 1
	}
	c.code = c.s.codec(testBlock)
	c.begin(5, 3)
	c.whole(3, 1, 10, 11)
	c.recovers(map[uint64]byte{10: 1, 11: 1})
	c.open()
	c.put(2, 10)
	c.must(c.CommitAll())
	c.revoke(10) // needs version 2
	c.must(c.CommitAll())
	if rec := c.recovers(map[uint64]byte{10: 1}); rec.Revoked != 1 {
		t.Errorf("%+v", rec)
	}
}

// TestRecoverEnds: whatever a crash leaves behind is the end of the log, not an error.
func TestRecoverEnds(t *testing.T) {
	v3 := form{features: FeatureCsumV3}
	t.Run("torn descriptor", func(t *testing.T) {
		c := newCraft(t, v3)
		c.begin(1, 3)
		c.whole(3, 1, 10)
		c.copies(4, 2, 10)
		c.damage(4, 600)
		c.recovers(map[uint64]byte{10: 1})
	})
	t.Run("torn revoke block", func(t *testing.T) {
		c := newCraft(t, v3)
		c.begin(1, 3)
		c.whole(3, 1, 10)
		c.revokes(4, 10)
		c.damage(4, 600)
		c.recovers(map[uint64]byte{10: 1})
	})
	t.Run("torn commit block", func(t *testing.T) {
		c := newCraft(t, v3)
		c.begin(1, 3)
		c.whole(3, 1, 10)
		c.damage(3, 600) // old bytes after the first sector: the commit block itself is whole
		c.recovers(map[uint64]byte{10: 1})
	})
	t.Run("older transactions", func(t *testing.T) {
		c := newCraft(t, v3)
		c.whole(1, 8, 20)
		c.whole(2, 8, 21)
		c.whole(3, 8, 22)
		c.begin(1, 9)
		c.whole(9, 1, 10)
		c.recovers(map[uint64]byte{10: 1, 21: 0, 22: 0})
	})
	t.Run("the same sequence from long ago", func(t *testing.T) {
		c := newCraft(t, v3)
		c.time = 10
		c.begin(4, 4)
		c.copies(4, 9, 20)
		c.damage(4, 600)
		c.commitBlock(4, 0)
		c.time = 1000
		c.begin(1, 3)
		c.whole(3, 1, 10)
		c.recovers(map[uint64]byte{10: 1, 20: 0})
	})
	t.Run("asynchronous commit before its blocks", func(t *testing.T) {
		for _, f := range []form{{features: FeatureCsumV3 | FeatureAsyncCommit}, {features: FeatureAsyncCommit, compat: compatChecksum}} {
			c := newCraft(t, f)
			c.begin(1, 3)
			c.whole(3, 1, 10)
			c.whole(4, 2, 10)
			c.damage(5, 77)
			c.recovers(map[uint64]byte{10: 1})
		}
	})
	t.Run("revoked in its own transaction", func(t *testing.T) {
		c := newCraft(t, v3)
		c.begin(1, 3)
		c.copies(3, 1, 10, 11)
		c.revokes(3, 10)
		c.commitBlock(3, 0)
		c.recovers(map[uint64]byte{10: 0, 11: 1})
	})
	t.Run("a wrong copy that was revoked", func(t *testing.T) {
		c := newCraft(t, v3)
		c.begin(1, 3)
		c.whole(3, 1, 10, 11)
		c.damage(2, 77)
		c.revokes(4, 10)
		c.commitBlock(4, 0)
		c.recovers(map[uint64]byte{10: 0, 11: 1})
	})
}

func TestBadLog(t *testing.T) {
	v3 := form{features: FeatureCsumV3}
	two := func(t *testing.T, f form) *craft {
		c := newCraft(t, f)
		c.begin(1, 3)
		c.whole(3, 1, 10, 11)        // blocks 1 to 4
		c.whole(4, 2, 11, 12)        // blocks 5 to 8
		c.revokes(5, 10)             // block 9
		c.commitBlock(5, ^uint32(0)) // block 10
		return c
	}
	for _, b := range []struct {
		name string
		pos  uint32
	}{{"descriptor", 1}, {"copy", 6}, {"commit block", 4}, {"last commit block", 10}, {"revoke block", 9}} {
		t.Run("checksum of a "+b.name, func(t *testing.T) {
			c := two(t, v3)
			c.damage(b.pos, 0x32) // the commit time, if the block is a commit block
			c.refused(ErrCorrupt, fmt.Sprintf("log block %d:", b.pos))
			c = two(t, form{features: FeatureCsumV2 | Feature64Bit})
			c.damage(b.pos, 0x32)
			c.refused(ErrCorrupt, fmt.Sprintf("log block %d:", b.pos))
		})
	}
	t.Run("checksum version 1", func(t *testing.T) {
		c := two(t, form{compat: compatChecksum})
		c.damage(6, 77)
		c.refused(ErrCorrupt, "log block 8:")
	})
	t.Run("cycle", func(t *testing.T) {
		for _, f := range []form{v3, {}} {
			c := newCraft(t, f)
			c.begin(1, 3)
			for range 127 { // no commit block all the way round
				p := make([]byte, testBlock)
				c.code.fillRevoke(p, 3, []uint64{1})
				c.block(p)
			}
			c.refused(ErrCorrupt, "log block 1:")
		}
	})
	t.Run("tag beyond the device", func(t *testing.T) {
		c := newCraft(t, v3)
		c.begin(1, 3)
		c.whole(3, 1, 10)
		c.whole(4, 1, 11, testBlocks)
		c.refused(ErrCorrupt, "log block 6:")
	})
	t.Run("tag onto the journal", func(t *testing.T) {
		for _, b := range []uint64{testLogAt, testLogAt + testLogLen - 1} {
			c := newCraft(t, v3)
			c.begin(1, 3)
			c.whole(3, 1, 10, b)
			c.refused(ErrCorrupt, "log block 3:")
		}
	})
	t.Run("sequence jump", func(t *testing.T) {
		for _, f := range forms {
			c := newCraft(t, f)
			c.begin(1, 3)
			c.whole(3, 1, 10)
			c.whole(5, 2, 10)
			c.refused(ErrCorrupt, "log block 4:")
		}
	})
	t.Run("revoke count", func(t *testing.T) {
		for _, n := range []uint32{0, 15, 18, testBlock + 4, 1 << 31} {
			c := newCraft(t, form{})
			c.begin(1, 3)
			p := make([]byte, testBlock)
			c.code.fillRevoke(p, 3, []uint64{10})
			putBE32(p[headerSize:], n)
			c.block(p)
			c.commitBlock(3, 0)
			c.refused(ErrCorrupt, "log block 1:")
		}
	})
}

func TestBadSuper(t *testing.T) {
	set := func(off int, v uint32) func(super) { return func(s super) { putBE32(s[off:], v) } }
	for _, b := range []struct {
		name   string
		change func(super)
		want   error
		words  string
	}{
		{"magic", set(0, 1), ErrCorrupt, "magic"},
		{"type", set(sBlocktype, typeCommit), ErrCorrupt, "block type 2"},
		{"block size", set(sBlocksize, 4096), ErrCorrupt, "block size 4096"},
		{"maxlen", set(sMaxlen, testLogLen+1), ErrCorrupt, "129 blocks"},
		{"maxlen huge", set(sMaxlen, ^uint32(0)), ErrCorrupt, "4294967295 blocks"},
		{"maxlen 0", set(sMaxlen, 0), ErrCorrupt, "first block"},
		{"first 0", set(sFirst, 0), ErrCorrupt, "first block 0"},
		{"first huge", set(sFirst, testLogLen), ErrCorrupt, "first block 128"},
		{"start", set(sStart, testLogLen), ErrCorrupt, "starts at 128"},
		{"unknown feature", set(sIncompat, 0x40), ErrUnsupported, "0x40"},
		{"unknown ro feature", set(sROCompat, 2), ErrUnsupported, "0x2"},
		{"two checksums", set(sIncompat, uint32(FeatureCsumV2|FeatureCsumV3)), ErrCorrupt, "more than one"},
		{"fast area", func(s super) {
			putBE32(s[sIncompat:], uint32(FeatureFastCommit))
			putBE32(s[sNumFCBlocks:], ^uint32(0))
			putBE32(s[sStart:], testLogLen+5)
		}, ErrCorrupt, "starts at"},
	} {
		t.Run(b.name, func(t *testing.T) {
			c := newCraft(t, form{})
			c.begin(1, 3)
			c.whole(3, 1, 10)
			b.change(c.s)
			p := append([]byte(nil), c.s...)
			c.must(c.log.write(0, p))
			c.refused(b.want, b.words)
			if _, err := Open(c.cfg); !errors.Is(err, b.want) {
				t.Errorf("Open: %v", err)
			}
		})
	}
	t.Run("checksum", func(t *testing.T) {
		c := newCraft(t, form{features: FeatureCsumV3})
		c.begin(1, 3)
		c.whole(3, 1, 10)
		c.damage(0, sSequence)
		c.refused(ErrCorrupt, "checksum")
	})
	t.Run("area beyond the device", func(t *testing.T) {
		c := newCraft(t, form{})
		area := Area{Blocks: []Run{{testBlocks - 1, 2}}, BlockSize: testBlock}
		if _, err := Recover(c.dev, area); !errors.Is(err, ErrCorrupt) {
			t.Errorf("Recover: %v", err)
		}
	})
	t.Run("not empty", func(t *testing.T) {
		c := newCraft(t, form{})
		c.begin(1, 3)
		if _, err := Open(c.cfg); !errors.Is(err, ErrUnsupported) {
			t.Errorf("Open: %v", err)
		}
	})
}
