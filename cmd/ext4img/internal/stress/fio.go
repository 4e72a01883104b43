package stress

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A Generator makes the requests of stress.
type Generator interface {
	// Next makes the next batch; room is how many can be sent at once. Empty: the stage is over.
	Next(batch []Request, room int) []Request
	// Restart begins the next stage; false: there is none.
	Restart() bool
}

// FIOPlan says what requests to make: what fio's options of the same names say.
type FIOPlan struct {
	RW      string // write, read, randwrite, randread, randrw
	BS      int64
	Size    int64 // of the range, from 0
	IOSize  int64 // bytes in all
	Runtime time.Duration
	Seed    uint64
}

// maxShuffle is up to how many blocks a random pass visits each block once; beyond, it draws.
const maxShuffle = 1 << 24

// fioGen makes them. A random pass visits every block once before it begins again.
type fioGen struct {
	plan   FIOPlan
	rnd    *rand.Rand
	order  []uint32
	blocks int64
	i      int64 // requests of this pass
	left   int64 // requests to make; unbounded with a runtime
	end    time.Time
}

func newFIOGen(p FIOPlan) (*fioGen, error) {
	g := &fioGen{plan: p, rnd: rand.New(rand.NewPCG(p.Seed, 0)), blocks: p.Size / p.BS, left: p.IOSize / p.BS}
	switch p.RW {
	case "write", "read", "randwrite", "randread", "randrw":
	default:
		return nil, fmt.Errorf("rw %q: must be write, read, randwrite, randread or randrw", p.RW)
	}
	if g.blocks == 0 {
		return nil, fmt.Errorf("size %d: less than one block of %d", p.Size, p.BS)
	}
	if p.Runtime > 0 {
		g.end = time.Now().Add(p.Runtime)
	}
	if g.random() && g.blocks <= maxShuffle {
		g.order = make([]uint32, g.blocks)
		for i := range g.order {
			g.order[i] = uint32(i)
		}
		g.shuffle()
	}
	return g, nil
}

func (g *fioGen) random() bool { return g.plan.RW[:4] == "rand" }

func (g *fioGen) shuffle() {
	g.rnd.Shuffle(len(g.order), func(i, j int) { g.order[i], g.order[j] = g.order[j], g.order[i] })
}

func (g *fioGen) Next(batch []Request, room int) []Request {
	batch = batch[:0]
	if !g.end.IsZero() && time.Now().After(g.end) {
		return batch
	}
	for ; room > 0 && (g.left > 0 || !g.end.IsZero()); room-- {
		g.left--
		if g.i == g.blocks {
			g.i = 0
			g.shuffle()
		}
		block := g.i
		switch {
		case g.order != nil:
			block = int64(g.order[g.i])
		case g.random():
			block = g.rnd.Int64N(g.blocks)
		}
		g.i++
		read := g.plan.RW == "read" || g.plan.RW == "randread" || g.plan.RW == "randrw" && g.rnd.Uint64()&1 == 0
		batch = append(batch, Request{Read: read, Off: block * g.plan.BS})
	}
	return batch
}

func (g *fioGen) Restart() bool { return false }
