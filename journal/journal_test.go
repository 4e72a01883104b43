package journal

import (
	"errors"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/journal/buf"
)

var forms = []form{
	{"plain", 0, 0},
	{"checksum v1", 0, compatChecksum},
	{"64bit", Feature64Bit, 0},
	{"csum v2", FeatureCsumV2, 0},
	{"csum v2 64bit", FeatureCsumV2 | Feature64Bit, 0},
	{"csum v3", FeatureCsumV3, 0},
	{"csum v3 64bit", FeatureCsumV3 | Feature64Bit, 0},
	{"csum v3 64bit revoke", FeatureCsumV3 | Feature64Bit | FeatureRevoke, 0},
}

func TestCommitAndRecover(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			r := newRigForm(t, f)
			r.put(1, 10, 11, 12)
			tid := r.put(2, 11)
			r.must(r.Commit(tid))
			r.put(3, 12)
			r.revoke(10)
			r.must(r.CommitAll())
			r.put(4, 13)
			for b, v := range map[uint64]byte{10: 0, 11: 0, 12: 0, 13: 0} {
				if got := home(t, r.dev, b); got != v {
					t.Errorf("home of %d before recovery: %d", b, got)
				}
			}
			rec, err := Recover(r.dev, *testArea())
			r.must(err)
			if rec.Transactions != 2 || rec.Blocks != 2 || rec.Revoked != 1 || rec.First != 1 || rec.Next != 4 {
				t.Errorf("recovery: %+v", rec)
			}
			for b, v := range map[uint64]byte{10: 0, 11: 2, 12: 3, 13: 0} {
				if got := home(t, r.dev, b); got != v {
					t.Errorf("home of %d after recovery: %d, want %d", b, got, v)
				}
			}
			r.open()
			r.put(9, 20)
			r.must(r.Close())
			if got := home(t, r.dev, 20); got != 9 {
				t.Errorf("home after Close: %d", got)
			}
			rec, err = Recover(r.dev, *testArea())
			r.must(err)
			if rec.Transactions != 0 {
				t.Errorf("recovery after Close: %+v", rec)
			}
		})
	}
}

func TestCancelPutsBack(t *testing.T) {
	r := newRig(t, FeatureCsumV3)
	r.put(1, 10)
	var ends []bool
	h, err := r.Start(5)
	r.must(err)
	h.AtEnd(func(ok bool) { ends = append(ends, ok) })
	p, err := h.Get(whole(10))
	r.must(err)
	p[0] = 7
	q, err := h.Get(part(10, 3))
	r.must(err)
	q[1] = 9
	if _, err = h.Create(whole(11)); err != nil {
		t.Fatal(err)
	}
	h.Revoke(10)
	h.Cancel()
	if len(ends) != 1 || ends[0] {
		t.Errorf("AtEnd: %v", ends)
	}
	if got := r.seen(10); got != 1 {
		t.Errorf("block 10: %d, want 1", got)
	}
	if b := r.cache.Lookup(11); b != nil {
		t.Error("a cancelled Create left a block")
	}
	if _, err := h.Get(whole(10)); !errors.Is(err, ErrClosed) {
		t.Errorf("Get after Cancel: %v", err)
	}
}

func TestFailedCheckPutsBack(t *testing.T) {
	r := newRig(t, FeatureCsumV3)
	r.put(1, 10)
	h, err := r.Start(1)
	r.must(err)
	p, err := h.Get(whole(10))
	r.must(err)
	p[0] = 0xFF
	if _, err = h.Stop(); !errors.Is(err, errBadObject) {
		t.Fatalf("Stop: %v", err)
	}
	if got := r.seen(10); got != 1 {
		t.Errorf("block 10: %d, want 1", got)
	}
}

func TestUnchangedIsNotJournaled(t *testing.T) {
	r := newRig(t, FeatureCsumV3)
	r.put(1, 10)
	r.must(r.CommitAll())
	before := r.Stats()
	h, err := r.Start(1)
	r.must(err)
	p, err := h.Get(whole(10))
	r.must(err)
	p[0] = 2
	p[0] = 1
	tid, err := h.Stop()
	r.must(err)
	if r.Committed() != tid {
		t.Errorf("TID %d of a handle without changes, committed is %d", tid, r.Committed())
	}
	r.must(r.Commit(tid))
	if after := r.Stats(); after.Commits != before.Commits {
		t.Errorf("%d commits for nothing", after.Commits-before.Commits)
	}
}

func TestCreatePartKeepsTheRest(t *testing.T) {
	r := newRig(t, FeatureCsumV3)
	p := make([]byte, testBlock)
	for i := range p {
		p[i] = byte(i)
	}
	if _, err := r.dev.WriteAt(p, 30*testBlock); err != nil {
		t.Fatal(err)
	}
	h, err := r.Start(1)
	r.must(err)
	q, err := h.Create(part(30, 2))
	r.must(err)
	q[0] = 77
	_, err = h.Stop()
	r.must(err)
	r.must(r.Close())
	got := snapshot(t, r.dev)[30*testBlock:][:testBlock]
	if got[255] != 255 || got[256] != 77 || got[257] != 0 || got[384] != 128 {
		t.Errorf("got %v", got[250:390])
	}
}

func TestVerifiedWhenRead(t *testing.T) {
	r := newRig(t, FeatureCsumV3)
	if _, err := r.dev.WriteAt([]byte{1}, 40*testBlock); err != nil {
		t.Fatal(err)
	}
	v := r.View()
	defer v.Close()
	if _, err := v.Read(whole(40)); !errors.Is(err, errBadObject) {
		t.Errorf("Read of a bad object: %v", err)
	}
	if _, err := v.Read(whole(testBlocks)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Read beyond the end: %v", err)
	}
	if _, err := v.Read(buf.Ref{Block: 1, Off: 1000, Len: 100, Type: sealed{}}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Read across the block's end: %v", err)
	}
}

// TestTooLarge: a handle grows to what a transaction may hold, and to half of the log if it is alone in its
// transaction. Beyond that it fails and leaves nothing behind.
func TestTooLarge(t *testing.T) {
	grow := func(r *rig, credits int) (int, error) {
		h, err := r.Start(credits)
		r.must(err)
		for n := range testLogLen {
			p, err := h.Get(whole(100 + uint64(n)))
			if err != nil {
				h.Cancel()
				return n, err
			}
			p[0] = 77
		}
		t.Fatal("no end")
		return 0, nil
	}
	for _, features := range []Features{0, FeatureCsumV3, Feature64Bit | FeatureCsumV3} {
		r := newRig(t, features)
		r.put(1, 10, 11)
		n, err := grow(r, 1)
		if !errors.Is(err, ErrNoCredits) || n > testLogLen/4 {
			t.Errorf("beside another handle: %d blocks, %v", n, err)
		}
		commits := r.Stats().Commits
		n, err = grow(r, Whole)
		if !errors.Is(err, ErrTooLarge) || n <= testLogLen/4 || n > testLogLen/2 || r.Stats().Commits != commits+1 {
			t.Errorf("alone: %d blocks, %v", n, err)
		}
		if r.seen(100) == 77 {
			t.Error("a cancelled handle left a change behind")
		}
		var most []uint64
		for i := range uint64(n) {
			most = append(most, 100+i)
		}
		for content := byte(1); content < 20; content++ {
			h, err := r.Start(Whole)
			r.must(err)
			for _, b := range most {
				p, err := h.Get(whole(b))
				r.must(err)
				p[0] = content
			}
			_, err = h.Stop()
			r.must(err)
			r.must(r.CommitAll())
			if home := home(t, r.dev, most[0]); r.seen(most[0]) != content || home > content {
				t.Errorf("content %d: %d, at home %d", content, r.seen(most[0]), home)
			}
		}
	}
	r := newRig(t, FeatureCsumV3)
	h, err := r.Start(1)
	r.must(err)
	if err := h.Extend(testLogLen); !errors.Is(err, ErrNoCredits) {
		t.Errorf("Extend: %v", err)
	}
	h.Cancel()
}

// TestManyTransactions goes round the log many times, with a cache far smaller than what is written.
func TestManyTransactions(t *testing.T) {
	r := newRig(t, FeatureCsumV3|Feature64Bit)
	r.cfg.CacheBytes = 1
	r.open()
	for i := range 400 {
		b := uint64(i % 200)
		r.put(byte(i%250), b, b+1, b+2)
		if i%7 == 0 {
			r.must(r.CommitAll())
		}
		if got := r.seen(b); got != byte(i%250) {
			t.Fatalf("block %d: %d, want %d", b, got, i%250)
		}
	}
	if s := r.Stats(); s.Checkpoints == 0 || s.CachedBlocks > 60 {
		t.Errorf("stats: %+v", s)
	}
	r.must(r.Close())
	if got := home(t, r.dev, 199); got != byte(399%250) {
		t.Errorf("home: %d", got)
	}
}

func TestNoJournal(t *testing.T) {
	dev := simdev.New(testBlocks * testBlock)
	r := &rig{t: t, dev: dev, cfg: Config{Device: dev, BlockSize: testBlock, Blocks: testBlocks}}
	r.open()
	tid := r.put(5, 10, 11)
	if got := home(t, dev, 10); got != 5 {
		t.Errorf("home after Stop: %d", got)
	}
	if !r.Committed().Before(tid) {
		t.Errorf("transaction %d is committed before it was flushed", tid)
	}
	r.must(r.Commit(tid))
	if r.Committed() != tid {
		t.Errorf("committed %d, want %d", r.Committed(), tid)
	}
	r.must(r.Close())
}

func TestEscape(t *testing.T) {
	r := newRig(t, FeatureCsumV3)
	ref := buf.Ref{Block: 50, Len: testBlock, Type: sealed{50}}
	h, err := r.Start(1)
	r.must(err)
	p, err := h.Create(ref)
	r.must(err)
	putBE32(p, magic)
	_, err = h.Stop()
	r.must(err)
	r.must(r.CommitAll())
	crashed := snapshot(t, r.dev)
	if logged := crashed[(testLogAt+2)*testBlock:]; be32(logged) != 0 {
		t.Errorf("the block begins with 0x%08x in the log", be32(logged))
	}
	r.must(r.Close())
	checkpointed := snapshot(t, r.dev)[50*testBlock:][:testBlock]
	if be32(checkpointed) != magic {
		t.Errorf("checkpointed block begins with 0x%08x", be32(checkpointed))
	}
	if _, err := r.dev.WriteAt(crashed, 0); err != nil {
		t.Fatal(err)
	}
	_, err = Recover(r.dev, *testArea())
	r.must(err)
	if recovered := snapshot(t, r.dev)[50*testBlock:][:testBlock]; be32(recovered) != magic {
		t.Errorf("recovered block begins with 0x%08x", be32(recovered))
	}
}

// TestNoJournalOrder: nothing on the device points to a new block before the new block is there.
func TestNoJournalOrder(t *testing.T) {
	rnd := seeded(t)
	dev := simdev.New(testBlocks * testBlock)
	r := &rig{t: t, dev: dev, cfg: Config{Device: dev, BlockSize: testBlock, Blocks: testBlocks}}
	r.open()
	r.put(1, 10)
	r.must(r.CommitAll())
	dev.Record()
	h, err := r.Start(2)
	r.must(err)
	pointer, err := h.Get(whole(10))
	r.must(err)
	fresh, err := h.Create(whole(11))
	r.must(err)
	pointer[0], fresh[0] = 2, 7
	_, err = h.Stop()
	r.must(err)
	r.must(r.CommitAll())
	everyCrash(dev.Trace(), rnd, 20, func(e int, d *simdev.Device) {
		if home(t, d, 10) == 2 && home(t, d, 11) != 7 {
			t.Fatalf("epoch %d: block 10 points to what is not there", e)
		}
	})
}

// TestTransactionFills: when the running transaction has no room, Start commits it and goes on in the next.
func TestTransactionFills(t *testing.T) {
	r := newRig(t, FeatureCsumV3)
	first := r.Running()
	for i := range uint64(8) {
		b := 10 * i
		r.put(1, b, b+1, b+2, b+3, b+4, b+5, b+6, b+7)
	}
	if s := r.Stats(); s.Commits < 2 || r.Running() != first+TID(s.Commits) {
		t.Errorf("%+v, transaction %d is running", s, r.Running())
	}
	if s := r.Stats(); s.Logged > s.Commits*testLogLen/4 {
		t.Errorf("%+v: more than a quarter of the log in one transaction", s)
	}
}
