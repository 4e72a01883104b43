package journal

import (
	"encoding/binary"
	"errors"
	"testing"

	"ext4img/aio/block"
	"ext4img/aio/simdev"
)

// FuzzRecover changes bytes of a log, in half of the cases corrects the checksums afterwards, and recovers the log.
// The image must be unchanged, or differ only in blocks of the file system and in the state of the journal
// superblock.
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

// reseal corrects the checksums of all blocks that carry one.
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

// resealTags corrects the checksums in a descriptor's tags, as long as the tags have the usual format.
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

// FuzzFast reads any bytes as a fast commit area.
func FuzzFast(f *testing.F) {
	f.Add([]byte{fastHead, 0, 8, 0, 0, 0, 0, 0, 5, 0, 0, 0, fastDelRange, 0, 12, 0})
	f.Add(fastArea(5, FastDelRange{12, 3, 4}, FastUnlink{2, 12, "name"}))
	f.Fuzz(func(t *testing.T, area []byte) {
		const fast = 4
		dev := simdev.New((minLogWithFast + fast) * testBlock)
		a := Area{Blocks: []Run{{0, minLogWithFast + fast}}, BlockSize: testBlock}
		format(t, dev, &a, FeatureFastCommit, 0)
		log, err := newLogDevice(dev, a)
		if err != nil {
			t.Fatal(err)
		}
		s, err := log.readSuper()
		if err != nil {
			t.Fatal(err)
		}
		putBE32(s[sNumFCBlocks:], fast)
		area = area[:min(len(area), (fast-1)*testBlock)]
		if _, err := dev.WriteAt(area, (minLogWithFast+1)*testBlock); err != nil {
			t.Fatal(err)
		}
		commits, err := readFast(log, s, 5)
		if err != nil && !errors.Is(err, ErrUnsupported) {
			t.Fatal(err)
		}
		for _, c := range commits {
			if c.TID != 5 {
				t.Fatalf("a fast commit of transaction %d", c.TID)
			}
		}
	})
}

// fastArea encodes one fast commit.
func fastArea(tid uint32, records ...FastRecord) []byte {
	le := binary.LittleEndian
	put := func(p []byte, tag uint16, value []byte) []byte {
		p = le.AppendUint16(p, tag)
		p = le.AppendUint16(p, uint16(len(value)))
		return append(p, value...)
	}
	p := put(nil, fastHead, le.AppendUint32(make([]byte, 4), tid))
	for _, r := range records {
		switch r := r.(type) {
		case FastDelRange:
			p = put(p, fastDelRange, le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, r.Ino), r.Lblk), r.Len))
		case FastUnlink:
			p = put(p, fastUnlink, append(le.AppendUint32(le.AppendUint32(nil, r.Parent), r.Ino), r.Name...))
		}
	}
	at := len(p)
	p = put(p, fastTail, make([]byte, testBlock-at-fastTagSize))
	le.PutUint32(p[at+fastTagSize:], tid)
	le.PutUint32(p[at+fastTagSize+4:], block.Crc32c(0, p[:at+fastTagSize+4]))
	return p
}

func TestFastCommits(t *testing.T) {
	dev := simdev.New(1300 * testBlock)
	area := Area{Blocks: []Run{{0, 1300}}, BlockSize: testBlock}
	format(t, dev, &area, FeatureFastCommit|FeatureCsumV3, 0)
	log, err := newLogDevice(dev, area)
	if err != nil {
		t.Fatal(err)
	}
	s, err := log.readSuper()
	if err != nil {
		t.Fatal(err)
	}
	_, first := s.last()
	write := func(n uint32, p []byte) {
		if err := log.write(n, p); err != nil {
			t.Fatal(err)
		}
	}
	good := fastArea(7, FastDelRange{12, 3, 4}, FastUnlink{2, 12, "name"})
	for _, c := range []struct {
		name  string
		areas [][]byte
		want  int
	}{
		{"none", [][]byte{make([]byte, testBlock)}, 0},
		{"one", [][]byte{good}, 1},
		{"two", [][]byte{good, good}, 2},
		{"another transaction's", [][]byte{fastArea(6)}, 0},
		{"and one from another transaction", [][]byte{good, fastArea(6)}, 1},
	} {
		write(first, make([]byte, 4*testBlock))
		for i, p := range c.areas {
			write(first+uint32(i), p)
		}
		if got, err := readFast(log, s, 7); err != nil || len(got) != c.want {
			t.Errorf("%s: %d fast commits, %v", c.name, len(got), err)
		}
	}
	torn := append([]byte(nil), good...)
	torn[20]++
	write(first, torn)
	write(first+1, good)
	if got, err := readFast(log, s, 7); err != nil || len(got) != 0 {
		t.Errorf("torn: %d fast commits, %v", len(got), err)
	}
	unknown := append([]byte(nil), good...)
	unknown[4] = 1
	write(first, unknown)
	if _, err := readFast(log, s, 7); !errors.Is(err, ErrUnsupported) {
		t.Errorf("unknown feature: %v", err)
	}
}
