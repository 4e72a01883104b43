package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A generator makes the requests of stress.
type generator interface {
	// next makes the next batch; room is how many can be sent at once. Empty: the stage is over.
	next(batch []request, room int) []request
	// restart begins the next stage; false: there is none.
	restart() bool
}

// ioPlan says what requests to make: what fio's options of the same names say.
type ioPlan struct {
	rw      string // write, read, randwrite, randread, randrw
	bs      int64
	size    int64 // of the range, from 0
	ioSize  int64 // bytes in all
	runtime time.Duration
	seed    uint64
}

// maxShuffle is up to how many blocks a random pass visits each block once; beyond, it draws.
const maxShuffle = 1 << 24

// ioGen makes them. A random pass visits every block once before it begins again.
type ioGen struct {
	plan   ioPlan
	rnd    *rand.Rand
	order  []uint32
	blocks int64
	i      int64 // requests of this pass
	left   int64 // requests to make; unbounded with a runtime
	end    time.Time
}

func newIOGen(p ioPlan) (*ioGen, error) {
	g := &ioGen{plan: p, rnd: rand.New(rand.NewPCG(p.seed, 0)), blocks: p.size / p.bs, left: p.ioSize / p.bs}
	switch p.rw {
	case "write", "read", "randwrite", "randread", "randrw":
	default:
		return nil, fmt.Errorf("rw %q: must be write, read, randwrite, randread or randrw", p.rw)
	}
	if g.blocks == 0 {
		return nil, fmt.Errorf("size %d: less than one block of %d", p.size, p.bs)
	}
	if p.runtime > 0 {
		g.end = time.Now().Add(p.runtime)
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

func (g *ioGen) random() bool { return g.plan.rw[:4] == "rand" }

func (g *ioGen) shuffle() {
	g.rnd.Shuffle(len(g.order), func(i, j int) { g.order[i], g.order[j] = g.order[j], g.order[i] })
}

func (g *ioGen) next(batch []request, room int) []request {
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
		read := g.plan.rw == "read" || g.plan.rw == "randread" || g.plan.rw == "randrw" && g.rnd.Uint64()&1 == 0
		batch = append(batch, request{read: read, off: block * g.plan.bs})
	}
	return batch
}

func (g *ioGen) restart() bool { return false }
