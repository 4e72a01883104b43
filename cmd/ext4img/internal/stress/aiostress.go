package stress

import "sync"

// rand31 is the rand() of the GNU C library, never seeded: an additive feedback
// generator, r[i] = r[i-3] + r[i-31], whose state is filled by a Lehmer generator from 1.
type rand31 struct {
	mu sync.Mutex // threads share it, as they do in C
	r  [31]uint32
	i  int
}

func newRand31(seed uint32) *rand31 {
	g := &rand31{i: 3}
	word := int64(seed)
	for i := range g.r {
		g.r[i] = uint32(word)
		word = 16807 * word % 2147483647
	}
	for range 310 {
		g.next()
	}
	return g
}

// next is rand(): 0 … 2^31-1.
func (g *rand31) next() int64 {
	// With 31 words, r[i-31] is the word about to be replaced, r[i-3] the one 28 places after it.
	g.r[g.i] += g.r[(g.i+28)%31]
	v := g.r[g.i] >> 1
	g.i = (g.i + 1) % 31
	return int64(v)
}

// upto draws 1 … n as aio-stress does.
func (g *rand31) upto(n int64) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return 1 + int64(float64(n)*float64(g.next())/2147483648.0)
}

// stage is what a context of aio-stress does at a time. The values are those of its option -o.
type stage int

const (
	stageWrite stage = iota
	stageRead
	stageRandWrite
	stageRandRead
	lastStage
)

func (s stage) reads() bool { return s == stageRead || s == stageRandRead }

// restart is the stage that follows in aio-stress; it looks at them in the order write, read,
// random write, random read.
func (s stage) restart(stages uint) (stage, bool) {
	for n := s + 1; n < lastStage; n++ {
		if stages&(1<<n) != 0 {
			return n, true
		}
	}
	return 0, false
}

// Plan says what aio-stress shall do: its options of the same meaning; sizes in bytes.
type Plan struct {
	Size     int64 // -s
	Record   int64 // -r
	Contexts int   // -c
	Offset   int64 // -C
	Iter     int   // -i, at most depth
	Batch    int   // -b, 0: all
	Batches  int   // -I, 0: no bound
	Stages   uint  // -o, or-ed as 1 << N; 0: all
}

// Request is one read or write of a batch.
type Request struct {
	Context int // whose it is: a number from 0
	Read    bool
	Off     int64
}

// aioContext is an "oper" of aio-stress: its own range, and how far it is.
type aioContext struct {
	id             int
	start, end     int64
	last           int64
	total, started int64
	stage          stage
}

// aioGen makes the requests of one thread of aio-stress, in its order.
type aioGen struct {
	plan             Plan
	rnd              *rand31
	active, finished []*aioContext
	count            int // batches of this stage
}

// NewGenerators makes a generator for each thread; contexts go to them in turn.
func NewGenerators(p Plan, threads int) []Generator {
	rnd := newRand31(1)
	var gens []Generator
	for t := range min(threads, p.Contexts) {
		gens = append(gens, newAIOGen(p, t, min(threads, p.Contexts), rnd))
	}
	return gens
}

func newAIOGen(p Plan, thread, threads int, rnd *rand31) *aioGen {
	if p.Stages == 0 {
		p.Stages = 1<<lastStage - 1
	}
	if p.Batch == 0 {
		p.Batch = p.Iter * p.Contexts
	}
	p.Iter = min(p.Iter, p.Batch)
	g := &aioGen{plan: p, rnd: rnd}
	first := stageWrite
	for p.Stages&(1<<first) == 0 {
		first++
	}
	for j := thread; j < p.Contexts; j += threads {
		c := &aioContext{id: j, start: int64(j) * p.Offset, end: p.Size - int64(j)*p.Offset, stage: first}
		c.last, c.total = c.start, (c.end-c.start)/p.Record
		g.active = append(g.active, c)
	}
	return g
}

// Next is the next batch: a turn of every context that fits, in order. Empty: the stage is done.
func (g *aioGen) Next(batch []Request, _ int) []Request {
	batch = batch[:0]
	if g.plan.Batches > 0 && g.count >= g.plan.Batches {
		return batch
	}
	g.count++
	var built []*aioContext
	for len(g.active) > 0 {
		c := g.active[0]
		n := min(int64(g.plan.Iter), c.total-c.started)
		for range n {
			batch = append(batch, Request{c.id, c.stage.reads(), g.place(c)})
		}
		c.started += n
		g.active = g.active[1:]
		built = append(built, c)
		if len(batch)+g.plan.Iter > g.plan.Batch {
			break
		}
	}
	for _, c := range built {
		if c.started == c.total {
			g.finished = append(g.finished, c)
		} else {
			g.active = append(g.active, c)
		}
	}
	return batch
}

// place is the offset of a context's next request.
func (g *aioGen) place(c *aioContext) int64 {
	if c.stage == stageRandWrite || c.stage == stageRandRead {
		c.last = g.random(c)
		return c.last
	}
	off := c.last
	c.last += g.plan.Record
	return off
}

// random is aio-stress's random offset: a megabyte, then a page within it.
func (g *aioGen) random(c *aioContext) int64 {
	const mib, page = 1 << 20, 4096
	count := (c.end - c.start) / mib
	if count < 1 {
		count = 1
	} else {
		count--
	}
	off := c.start + g.rnd.upto(count)*mib
	off += (g.rnd.upto(mib) + page - 1) &^ (page - 1)
	if off+g.plan.Record > c.end {
		off -= g.plan.Record
	}
	return off
}

// Restart starts the next stage with the contexts that finished this one. False: the run is over.
func (g *aioGen) Restart() bool {
	if len(g.active) > 0 { // the bound on batches ended the stage, and with it the run
		return false
	}
	for _, c := range g.finished {
		next, ok := c.stage.restart(g.plan.Stages)
		if !ok {
			return false
		}
		c.stage, c.started, c.last = next, 0, c.start
	}
	g.active, g.finished, g.count = g.finished, nil, 0
	return true
}
