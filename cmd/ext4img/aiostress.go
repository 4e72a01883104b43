package main

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

// stressPlan says what aio-stress shall do: its options of the same meaning.
type stressPlan struct {
	size     int64 // -s
	record   int64 // -r
	contexts int   // -c
	offset   int64 // -C
	iter     int   // -i, at most depth
	batch    int   // -b, 0: all
	batches  int   // -I, 0: no bound
	stages   uint  // -o, or-ed as 1 << N; 0: all
}

// request is one read or write of a batch.
type request struct {
	context int
	read    bool
	off     int64
}

// context is an "oper" of aio-stress: its own range, and how far it is.
type stressContext struct {
	id             int
	start, end     int64
	last           int64
	total, started int64
	stage          stage
}

// stressGen makes the requests of one thread of aio-stress, in its order.
type stressGen struct {
	plan             stressPlan
	rnd              *rand31
	active, finished []*stressContext
	count            int // batches of this stage
}

// newStressGens makes a generator for each thread; contexts go to them in turn.
func newStressGens(p stressPlan, threads int) []*stressGen {
	rnd := newRand31(1)
	var gens []*stressGen
	for t := range min(threads, p.contexts) {
		gens = append(gens, newStressGen(p, t, min(threads, p.contexts), rnd))
	}
	return gens
}

func newStressGen(p stressPlan, thread, threads int, rnd *rand31) *stressGen {
	if p.stages == 0 {
		p.stages = 1<<lastStage - 1
	}
	if p.batch == 0 {
		p.batch = p.iter * p.contexts
	}
	p.iter = min(p.iter, p.batch)
	g := &stressGen{plan: p, rnd: rnd}
	first := stageWrite
	for p.stages&(1<<first) == 0 {
		first++
	}
	for j := thread; j < p.contexts; j += threads {
		c := &stressContext{id: j, start: int64(j) * p.offset, end: p.size - int64(j)*p.offset, stage: first}
		c.last, c.total = c.start, (c.end-c.start)/p.record
		g.active = append(g.active, c)
	}
	return g
}

// next is the next batch: a turn of every context that fits, in order. Empty: the stage is done.
func (g *stressGen) next(batch []request, _ int) []request {
	batch = batch[:0]
	if g.plan.batches > 0 && g.count >= g.plan.batches {
		return batch
	}
	g.count++
	var built []*stressContext
	for len(g.active) > 0 {
		c := g.active[0]
		n := min(int64(g.plan.iter), c.total-c.started)
		for range n {
			batch = append(batch, request{c.id, c.stage.reads(), g.place(c)})
		}
		c.started += n
		g.active = g.active[1:]
		built = append(built, c)
		if len(batch)+g.plan.iter > g.plan.batch {
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
func (g *stressGen) place(c *stressContext) int64 {
	if c.stage == stageRandWrite || c.stage == stageRandRead {
		c.last = g.random(c)
		return c.last
	}
	off := c.last
	c.last += g.plan.record
	return off
}

// random is aio-stress's random offset: a megabyte, then a page within it.
func (g *stressGen) random(c *stressContext) int64 {
	const mib, page = 1 << 20, 4096
	count := (c.end - c.start) / mib
	if count < 1 {
		count = 1
	} else {
		count--
	}
	off := c.start + g.rnd.upto(count)*mib
	off += (g.rnd.upto(mib) + page - 1) &^ (page - 1)
	if off+g.plan.record > c.end {
		off -= g.plan.record
	}
	return off
}

// restart starts the next stage with the contexts that finished this one. False: the run is over.
func (g *stressGen) restart() bool {
	if len(g.active) > 0 { // the bound on batches ended the stage, and with it the run
		return false
	}
	for _, c := range g.finished {
		next, ok := c.stage.restart(g.plan.stages)
		if !ok {
			return false
		}
		c.stage, c.started, c.last = next, 0, c.start
	}
	g.active, g.finished, g.count = g.finished, nil, 0
	return true
}
