package journal

import (
	"encoding/binary"
	"testing"
)

// FuzzRecover changes bytes of a log, in one half of the cases with the checksums put right again, and recovers it:
// either the image is unchanged, or nothing but file system blocks and the journal superblock's state is.
func FuzzRecover(f *testing.F) {
	f.Add(uint8(0), []byte{})
	f.Add(uint8(6), []byte{0, 0, 0x1C, 1, 4, 0, 7, 9})
	f.Add(uint8(6|0x80), []byte{4, 0, 0x0C, 1, 4, 0, 3, 200})
	f.Add(uint8(1|0x80), []byte{0x28, 0, 0x0F, 64})
	f.Fuzz(func(t *testing.T, kind uint8, edits []byte) {
		c := newCraft(t, forms[int(kind&0x7F)%len(forms)])
		c.begin(testLogLen-6, 3)
		c.whole(3, 1, 10, 11, 12)
		c.whole(4, 2, 11, 13)
		c.revokes(5, 10, 13)
		c.commitBlock(5, ^uint32(0))
		c.whole(6, 3, 13)
		image := snapshot(t, c.dev)
		log := image[testLogAt*testBlock:][:testLogLen*testBlock]
		for ; len(edits) >= 4; edits = edits[4:] { // log block and offset in it, byte
			at := (int(binary.BigEndian.Uint16(edits))>>2%testLogLen)*testBlock + int(binary.BigEndian.Uint16(edits[1:])&(testBlock-1))
			log[at] = edits[3]
		}
		if kind&0x80 != 0 {
			c.reseal(log)
		}
		if _, err := c.dev.WriteAt(image, 0); err != nil {
			t.Fatal(err)
		}
		c.must(c.dev.Flush())
		c.judge(t, log)
	})
}

// reseal makes the checksums of all blocks right that have one of their own.
func (c *craft) reseal(log []byte) {
	super(log).seal()
	for at := testBlock; at < len(log); at += testBlock {
		p := log[at:][:testBlock]
		h, ok := parseHeader(p)
		if !ok || !c.code.csumV2or3() {
			continue
		}
		switch h.kind {
		case typeDescriptor:
			c.resealTags(log, at/testBlock, h.tid)
			c.code.sealTail(p)
		case typeRevoke:
			c.code.sealTail(p)
		case typeCommit:
			putBE32(p[commitChksum:], sumWithHole(c.code.seed, p, commitChksum))
		}
	}
}

// resealTags makes the tags' checksums right, as far as the tags have the usual form.
func (c *craft) resealTags(log []byte, at int, tid TID) {
	p := log[at*testBlock:][:testBlock]
	off := headerSize
	for i, t := range c.code.tags(p) {
		pos := (at+i-1+1)%(testLogLen-1) + 1
		t.sum = c.code.dataSum(tid, log[pos*testBlock:][:testBlock])
		c.code.putTag(p[off:], t)
		off += c.code.tagBytes()
		if t.flags&tagSameUUID == 0 {
			off += uuidSize
		}
	}
}

func (c *craft) judge(t *testing.T, log []byte) {
	hash := c.dev.Hash()
	shown := 0
	_ = Show(c.dev, *testArea(), func(Entry) error {
		if shown++; shown > 2*testLogLen {
			t.Fatal("Show goes round")
		}
		return nil
	})
	_, err := Recover(c.dev, *testArea())
	if err != nil {
		if c.dev.Hash() != hash {
			t.Fatalf("the image has changed: %v", err)
		}
		return
	}
	after := snapshot(t, c.dev)[testLogAt*testBlock:][:testLogLen*testBlock]
	for i := range after {
		if after[i] != log[i] && !(i >= sSequence && i < sErrno+4) && !(i >= sChecksum && i < sChecksum+4) {
			t.Fatalf("byte 0x%x of the log has changed", i)
		}
	}
	if rec, err := Recover(c.dev, *testArea()); err != nil || rec.Transactions != 0 {
		t.Fatalf("second recovery: %+v, %v", rec, err)
	}
}
