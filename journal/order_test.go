package journal

import (
	"testing"

	"ext4img/aio/simdev"
)

// TestOrderDataBeforeCommit (O1): if a transaction survives a crash, so does the data that was written before its
// commit began.
func TestOrderDataBeforeCommit(t *testing.T) {
	rnd := seeded(t)
	r := newRig(t, 0)
	r.put(1, 10)
	r.must(r.CommitAll())
	r.dev.Record()
	data := make([]byte, testBlock)
	fill(data, 99)
	_, err := r.dev.WriteAt(data, 60*testBlock)
	r.must(err)
	r.must(r.Commit(r.put(2, 10)))
	everyCrash(r.dev.Trace(), rnd, 10, func(e int, d *simdev.Device) {
		_, err := Recover(d, *testArea())
		r.must(err)
		if home(t, d, 10) == 2 && home(t, d, 60) != 99 {
			t.Fatalf("epoch %d: the transaction is there, its data is not", e)
		}
	})
}

// TestOrderLogBeforeCommit (O2): if a commit block survives a crash, so does everything that it commits.
func TestOrderLogBeforeCommit(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			rnd := seeded(t)
			r := newRigForm(t, f)
			r.put(1, 10, 11, 12)
			r.must(r.CommitAll())
			r.dev.Record()
			r.put(2, 10, 11, 12)
			r.must(r.CommitAll())
			whole, none := 0, 0
			everyCrash(r.dev.Trace(), rnd, 30, func(e int, d *simdev.Device) {
				_, err := Recover(d, *testArea())
				r.must(err)
				a, b, c := home(t, d, 10), home(t, d, 11), home(t, d, 12)
				switch {
				case a == 2 && b == 2 && c == 2:
					whole++
				case a == 1 && b == 1 && c == 1:
					none++
				default:
					t.Fatalf("epoch %d: %d %d %d", e, a, b, c)
				}
			})
			if whole == 0 || none == 0 {
				t.Errorf("%d states with the transaction, %d without", whole, none)
			}
		})
	}
}

// TestOrderCommitBeforeHome (O3): a checkpoint writes the committed copy, even if the cached block has changed since.
func TestOrderCommitBeforeHome(t *testing.T) {
	r := newRig(t, FeatureCsumV3)
	r.put(1, 10)
	r.must(r.CommitAll())
	r.put(2, 10)
	r.checkpointAlone()
	if got := home(t, r.dev, 10); got != 1 {
		t.Errorf("home: %d, want 1, the committed value", got)
	}
	if got := r.seen(10); got != 2 {
		t.Errorf("seen: %d, want 2", got)
	}
}

// TestOrderHomeBeforeReuse (O4): when the log begins anew, everything that it held is home and stays there.
func TestOrderHomeBeforeReuse(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			rnd := seeded(t)
			w := newWorld(t, rnd, f)
			for i := range 3 {
				for range 2 {
					w.change()
				}
				w.must(w.CommitAll())
				w.m.acked[w.Committed()] = w.dev.Epoch()
				if i < 2 {
					w.checkpointAlone()
				}
			}
			everyCrash(w.dev.Trace(), rnd, 30, func(e int, d *simdev.Device) { w.m.check(t, e, d) })
		})
	}
}

// TestOrderFreedSpaceRests (O5): Committed does not say that the block is free before the transaction that frees it
// is durable. After that, neither recovery nor a checkpoint writes the old metadata over the new data.
func TestOrderFreedSpaceRests(t *testing.T) {
	rnd := seeded(t)
	r := newRig(t, FeatureCsumV3)
	r.dev.Record()
	r.put(1, 10, 11)
	r.must(r.CommitAll())
	tid := r.revoke(10)
	if !r.Committed().Before(tid) {
		t.Fatal("committed before the commit")
	}
	flushes, early := 0, false
	r.dev.SetFault(func(simdev.IO) error {
		flushes++
		early = early || !r.Committed().Before(tid)
		return nil
	})
	r.must(r.Commit(tid))
	r.dev.SetFault(nil)
	if flushes == 0 || early {
		t.Errorf("Committed says %d while it is being written", tid)
	}
	data := make([]byte, testBlock)
	fill(data, 99)
	_, err := r.dev.WriteAt(data, 10*testBlock)
	r.must(err)
	r.must(r.dev.Flush())
	from := r.dev.Epoch()
	r.put(3, 11)
	r.must(r.Checkpoint())
	if got := home(t, r.dev, 10); got != 99 {
		t.Errorf("the checkpoint wrote %d over file data", got)
	}
	everyCrash(r.dev.Trace(), rnd, 10, func(e int, d *simdev.Device) {
		_, err := Recover(d, *testArea())
		r.must(err)
		if got := home(t, d, 10); e >= from && got != 99 {
			t.Fatalf("epoch %d: recovery wrote %d over file data", e, got)
		}
	})
}

// TestRevokeWhileCommitting (O5): a handle frees a block while the transaction that logged it is on its way to the log.
func TestRevokeWhileCommitting(t *testing.T) {
	r := newRig(t, FeatureCsumV3)
	first := r.put(1, 10, 11)
	var second TID
	r.dev.SetFault(func(simdev.IO) error {
		if second == 0 {
			second = r.revoke(10) // reads and writes nothing
		}
		return nil
	})
	r.must(r.Commit(first))
	r.dev.SetFault(nil)
	if second != first+1 {
		t.Fatalf("revoked in transaction %d, want %d", second, first+1)
	}
	r.must(r.Commit(second))
	r.checkpointAlone()
	if got := home(t, r.dev, 10); got != 0 {
		t.Errorf("the checkpoint wrote %d to a freed block", got)
	}
	if s := r.Stats(); s.Revoked != 1 {
		t.Errorf("%d revoke records, want 1", s.Revoked)
	}
}

// TestRevokeCancelled: a block that is metadata again in the transaction that revoked it is replayed.
func TestRevokeCancelled(t *testing.T) {
	r := newRig(t, FeatureCsumV3)
	r.put(1, 10)
	r.must(r.CommitAll())
	r.revoke(10)
	r.put(2, 10)
	r.must(r.CommitAll())
	_, err := Recover(r.dev, *testArea())
	r.must(err)
	if got := home(t, r.dev, 10); got != 2 {
		t.Errorf("block 10: %d, want 2", got)
	}
}
