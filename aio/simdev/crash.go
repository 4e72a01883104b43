package simdev

import (
	"cmp"
	"math/rand"
	"slices"
)

// A Write is one write that a device accepted.
type Write struct {
	Seq   int // order of acceptance, over the whole device
	Epoch int // flushes completed when it was accepted; from then on it may be on the medium
	// Until is the epoch whose flush makes it durable: the one in which WriteAt returned or Reap returned the request.
	// A write still in flight has math.MaxInt.
	Until int
	Off   int64
	Data  []byte // do not change
	Label string
}

// A Piece is a part of a write, [From, To) of its Data, in bytes.
type Piece struct {
	W        *Write
	From, To int
}

// Whole is all of a write.
func Whole(w *Write) Piece { return Piece{w, 0, len(w.Data)} }

// Wholes is all of each write, in order.
func Wholes(ws []*Write) []Piece {
	var ps []Piece
	for _, w := range ws {
		ps = append(ps, Whole(w))
	}
	return ps
}

// Sectors cuts a write at the device's sectors.
func Sectors(w *Write) []Piece {
	var ps []Piece
	for from := 0; from < len(w.Data); {
		to := min(len(w.Data), from+Sector-int((w.Off+int64(from))%Sector))
		ps = append(ps, Piece{w, from, to})
		from = to
	}
	return ps
}

// Random is one of the states a power cut may leave: each write is kept, lost or torn at sectors, in any order.
func Random(ws []*Write, r *rand.Rand) []Piece {
	var ps []Piece
	for _, w := range ws {
		switch r.Intn(3) {
		case 0:
			ps = append(ps, Whole(w))
		case 1:
			for _, p := range Sectors(w) {
				if r.Intn(2) == 0 {
					ps = append(ps, p)
				}
			}
		}
	}
	r.Shuffle(len(ps), func(i, j int) { ps[i], ps[j] = ps[j], ps[i] })
	return ps
}

// with returns a device whose content is m and then the pieces in their order.
func (m *Image) with(pieces []Piece) *Device {
	c := m.Clone()
	for _, p := range pieces {
		c.write(p.W.Data[p.From:p.To], p.W.Off+int64(p.From))
	}
	return FromImage(c)
}

// Pending returns copies of the writes that a power cut now may lose, in order of acceptance.
func (d *Device) Pending() []*Write {
	d.mu.Lock()
	defer d.mu.Unlock()
	ws := make([]*Write, len(d.pending))
	for i, w := range d.pending {
		c := *w
		ws[i] = &c
	}
	return ws
}

// Crash returns the device as a power cut now leaves it if exactly these pieces of the Pending writes, in this order,
// have reached the medium. This device is not changed.
func (d *Device) Crash(pieces ...Piece) *Device {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.durable.with(pieces)
	c.align = d.align
	return c
}

// A Trace is every write of a device since Record. It can make every state that a power cut at any time may have
// left.
type Trace struct {
	Writes []*Write
	First  int // the epoch in which it began
	Last   int // the epoch in which it was taken

	start *Image
	align int
	// order is Writes in the order in which they become durable; image holds order[:applied], those durable before
	// epoch at.
	order   []*Write
	image   *Image
	applied int
}

// Record begins a trace. The present content is its start, and counts as durable. The trace keeps in memory every
// write from now on.
func (d *Device) Record() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trace = &Trace{start: d.now.Clone(), First: d.epoch}
}

// Trace returns the writes since Record. The device may go on: the result does not change.
func (d *Device) Trace() *Trace {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := &Trace{start: d.trace.start.Clone(), First: d.trace.First, Last: d.epoch, align: d.align}
	for _, w := range d.trace.Writes {
		c := *w
		t.Writes = append(t.Writes, &c)
	}
	t.order = slices.Clone(t.Writes)
	slices.SortStableFunc(t.order, func(a, b *Write) int { return cmp.Compare(a.Until, b.Until) })
	t.image = t.start.Clone()
	return t
}

// Change lets fn edit the trace's record of each write. Tests use it to plant a defect in an order that was right. fn
// must replace Data, not edit its bytes.
func (t *Trace) Change(fn func(w *Write)) {
	for _, w := range t.Writes {
		fn(w)
	}
	slices.SortStableFunc(t.order, func(a, b *Write) int { return cmp.Compare(a.Until, b.Until) })
	t.image, t.applied = t.start.Clone(), 0
}

// Open returns the writes that a power cut during epoch e may lose, in order of acceptance.
func (t *Trace) Open(e int) []*Write {
	var ws []*Write
	for _, w := range t.Writes {
		if w.Epoch <= e && e <= w.Until {
			ws = append(ws, w)
		}
	}
	return ws
}

// State returns the device after a power cut during epoch e, if exactly these pieces of Open(e), in this order, had
// reached the medium. Calls with rising epochs apply each write once; a call with an earlier epoch starts again.
func (t *Trace) State(e int, pieces ...Piece) *Device {
	if t.applied > 0 && t.order[t.applied-1].Until >= e {
		t.image, t.applied = t.start.Clone(), 0
	}
	for ; t.applied < len(t.order) && t.order[t.applied].Until < e; t.applied++ {
		w := t.order[t.applied]
		t.image.write(w.Data, w.Off)
	}
	d := t.image.with(pieces)
	d.align = t.align
	return d
}
