package journal

import (
	"fmt"
	"math/rand"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/testimages/effort"
)

// crashStates calls check with every state that a power cut in epoch e may leave. If there are more than samples
// states, it calls check with that many random ones.
func crashStates(tr *simdev.Trace, e int, r *rand.Rand, samples int, check func(*simdev.Device)) {
	ws := tr.Open(e)
	n := len(ws)
	seen := make(map[uint64]bool)
	try := func(pieces []simdev.Piece) {
		d := tr.State(e, pieces...)
		if h := d.Hash(); !seen[h] {
			seen[h] = true
			check(d)
		}
	}
	if n <= 8 {
		for set := range 1 << n {
			var p []simdev.Piece
			for i, w := range ws {
				if set>>i&1 == 1 {
					p = append(p, simdev.Whole(w))
				}
			}
			try(p)
		}
	} else {
		for i := range n {
			try(simdev.Wholes(ws[:i]))
			try([]simdev.Piece{simdev.Whole(ws[i])})
			try(append(simdev.Wholes(ws[:i]), simdev.Wholes(ws[i+1:])...))
		}
		try(simdev.Wholes(ws))
	}
	for range samples {
		try(simdev.Random(ws, r))
	}
}

// everyCrash goes through all epochs of a trace.
func everyCrash(tr *simdev.Trace, r *rand.Rand, samples int, check func(e int, d *simdev.Device)) (states int) {
	for e := tr.First; e <= tr.Last; e++ {
		crashStates(tr, e, r, samples, func(d *simdev.Device) {
			states++
			check(e, d)
		})
	}
	return states
}

// seeded returns a random generator and prints the seed, with which the same run can be repeated.
func seeded(t testing.TB) *rand.Rand {
	return rand.New(rand.NewSource(int64(effort.Seed(t, 0))))
}

// wantStates is how many crash states a test explores.
func wantStates() int { return effort.CrashStates(2000, 100_000) }

// event is one thing that happened to a block: it became metadata with a value, was freed, or got file data.
type event struct {
	tid   TID
	kind  byte // 'm', 'f', 'd'
	value byte
	epoch int // for data: durable from this epoch on
}

// model is the history of every block, and the epoch in which each transaction was acknowledged.
type model struct {
	blocks map[uint64][]event
	acked  map[TID]int // epoch
}

// expect is the value that a block has after transaction tid and a crash in epoch e. It returns false if the block
// may hold anything.
func (m *model) expect(b uint64, tid TID, e int) (byte, bool) {
	var last event
	for _, ev := range m.blocks[b] {
		if ev.tid > tid || ev.kind == 'd' && ev.epoch > e {
			break
		}
		last = ev
	}
	return last.value, last.kind == 'm' || last.kind == 'd'
}

// check recovers a crashed device and compares it with the model.
func (m *model) check(t *testing.T, e int, d *simdev.Device) {
	t.Helper()
	if _, err := Recover(d, *testArea()); err != nil {
		t.Fatalf("epoch %d: %v", e, err)
	}
	tid := TID(home(t, d, 0)) // every transaction writes its number there
	for acked, at := range m.acked {
		if at <= e && tid < acked {
			t.Fatalf("epoch %d: transaction %d is lost, acknowledged in epoch %d; the last is %d", e, acked, at, tid)
		}
	}
	for b := range m.blocks {
		if want, ok := m.expect(b, tid, e); ok && home(t, d, b) != want {
			t.Fatalf("epoch %d: block %d after transaction %d: %d, want %d", e, b, tid, home(t, d, b), want)
		}
	}
}

// crashWorld drives a journal and a model side by side.
type crashWorld struct {
	*rig
	m    model
	rand *rand.Rand
}

const worldBlocks = 24

func (w *crashWorld) last(b uint64) event {
	evs := w.m.blocks[b]
	if len(evs) == 0 {
		return event{kind: 'f'}
	}
	return evs[len(evs)-1]
}

func (w *crashWorld) add(b uint64, ev event) { w.m.blocks[b] = append(w.m.blocks[b], ev) }

// change makes one handle of random changes. A block that was freed is created again only once that is durable.
func (w *crashWorld) change() {
	h, err := w.Start(8)
	w.must(err)
	p, err := h.Create(whole(0))
	w.must(err)
	fill(p, byte(h.TID()))
	touched := make(map[uint64]event)
	for range 1 + w.rand.Intn(6) {
		b := 1 + uint64(w.rand.Intn(worldBlocks))
		was := w.last(b)
		if _, done := touched[b]; done || was.kind == 'f' && was.tid > w.Committed() {
			continue
		}
		if was.kind == 'm' && w.rand.Intn(4) == 0 {
			h.Revoke(b)
			touched[b] = event{tid: h.TID(), kind: 'f'}
			continue
		}
		ref := whole(b)
		get := h.Create
		if was.kind == 'm' {
			get = h.Get
		}
		p, err := get(ref)
		w.must(err)
		v := byte(1 + w.rand.Intn(200))
		fill(p, v)
		touched[b] = event{tid: h.TID(), kind: 'm', value: v}
	}
	if w.rand.Intn(8) == 0 {
		h.Cancel()
		return
	}
	tid, err := h.Stop()
	w.must(err)
	for b, ev := range touched {
		w.add(b, ev)
	}
	w.add(0, event{tid: tid, kind: 'm', value: byte(tid)})
}

// useFreed writes file data to a block that is free for good.
func (w *crashWorld) useFreed() {
	for b := uint64(1); b <= worldBlocks; b++ {
		if ev := w.last(b); ev.kind == 'f' && ev.tid > 0 && ev.tid <= w.Committed() {
			p := make([]byte, testBlock)
			v := byte(201 + w.rand.Intn(40))
			fill(p, v)
			_, err := w.dev.WriteAt(p, int64(b)*testBlock)
			w.must(err)
			w.must(w.dev.Flush())
			w.add(b, event{tid: ev.tid, kind: 'd', value: v, epoch: w.dev.Epoch()})
			return
		}
	}
}

func newWorld(t *testing.T, r *rand.Rand, f form) *crashWorld {
	w := &crashWorld{rig: newRigForm(t, f), rand: r, m: model{make(map[uint64][]event), make(map[TID]int)}}
	w.dev.Record()
	return w
}

func (w *crashWorld) run(steps int) {
	for range steps {
		switch w.rand.Intn(10) {
		case 0, 1:
			w.must(w.CommitAll())
			w.m.acked[w.Committed()] = w.dev.Epoch()
		case 2:
			w.useFreed()
		case 3:
			switch w.rand.Intn(6) {
			case 0:
				w.must(w.Checkpoint())
				w.m.acked[w.Committed()] = w.dev.Epoch()
			case 1:
				w.checkpointAlone()
			}
		default:
			if w.Running() < 240 {
				w.change()
			}
		}
	}
}

// TestCrashAnywhere runs random changes and crashes in every epoch.
func TestCrashAnywhere(t *testing.T) {
	r := seeded(t)
	states := 0
	for i := 0; states < wantStates(); i++ {
		w := newWorld(t, r, forms[i%len(forms)])
		w.run(150)
		states += everyCrash(w.dev.Trace(), r, 6, func(e int, d *simdev.Device) { w.m.check(t, e, d) })
	}
	t.Logf("%d states", states)
}

// TestCrashInRecovery crashes while a crashed device is recovered, and recovers again.
func TestCrashInRecovery(t *testing.T) {
	r := seeded(t)
	var w *crashWorld
	var tr *simdev.Trace
	states := 0
	for i := 0; states < wantStates()/4; i++ {
		if i%20 == 0 {
			w = newWorld(t, r, form{features: FeatureCsumV3 | Feature64Bit})
			w.run(100)
			tr = w.dev.Trace()
		}
		e := tr.First + r.Intn(tr.Last-tr.First+1)
		d := tr.State(e, simdev.Random(tr.Open(e), r)...)
		d.Record()
		if _, err := Recover(d, *testArea()); err != nil {
			t.Fatal(err)
		}
		want := d.Hash()
		states += everyCrash(d.Trace(), r, 4, func(_ int, again *simdev.Device) {
			w.m.check(t, e, again)
			if again.Hash() != want {
				t.Fatal("another recovery, another result")
			}
		})
	}
	t.Logf("%d states", states)
}

func ExampleFeatures_String() {
	fmt.Println(FeatureCsumV3 | Feature64Bit | 0x80)
	// Output: 64bit,csum_v3,0x80
}
