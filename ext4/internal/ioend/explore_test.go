package ioend

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"
)

// result is what an exploration found.
type result struct {
	states, steps int
	violation     string
	trace         []string // the shortest interleaving that leads to it
}

// node records how a state was first reached, and all edges into it.
type node struct {
	parent int32
	edges  int32 // the last edge that leads here
	actor  uint8
	final  bool // nothing is left to do
}

// edge is a step out of state from; next is another one into the same state, or 0.
type edge struct{ from, next int32 }

// explore visits every state that any interleaving of the actors' steps reaches, breadth first.
// States that differ only in the names of equal actors or of writes count as one.
// It ends at the first violation.
func explore(c config, v *variant) result {
	e := &exploration{c: c, v: v, seen: map[[2]uint64]int32{}, edges: make([]edge, 1)}
	for i := range e.seeds {
		e.seeds[i] = maphash.MakeSeed()
	}
	e.visit(newWorld(c, v), node{parent: -1})
	for len(e.todo) > 0 && e.bad == "" {
		next := e.todo[0]
		if c.deep { // costs little memory and gives long traces
			next = e.todo[len(e.todo)-1]
			e.todo = e.todo[:len(e.todo)-1]
		} else {
			e.todo = e.todo[1:]
		}
		e.expand(next.id, next.w)
		e.spare = append(e.spare, next.w)
	}
	r := result{states: len(e.nodes), steps: len(e.edges) - 1, violation: e.bad}
	if e.bad == "" {
		r.violation, r.trace = e.live()
		return r
	}
	r.trace = e.replay(e.at, e.by)
	return r
}

type exploration struct {
	c     config
	v     *variant
	seeds [2]maphash.Seed
	seen  map[[2]uint64]int32 // by hash: two states of ten million share one with a probability of 10^-25
	nodes []node
	edges []edge
	todo  []visited
	spare []*world // worlds whose memory can be used again
	key   []byte
	bad   string // the violation, found in state at when actor by stepped (by < 0: in the state itself)
	at    int32
	by    int
}

type visited struct {
	id int32
	w  *world
}

// visit gives a state its number, new or known.
func (e *exploration) visit(w *world, n node) (id int32, known bool) {
	key := e.hash(w)
	if id, ok := e.seen[key]; ok {
		return id, true
	}
	id = int32(len(e.nodes))
	e.seen[key] = id
	n.final = w.finished()
	e.nodes = append(e.nodes, n)
	e.todo = append(e.todo, visited{id, w})
	return id, false
}

// expand takes every step that is possible in a state.
func (e *exploration) expand(id int32, w *world) {
	stuck := true
	for i := range w.actors {
		if !w.enabled(&w.actors[i]) {
			continue
		}
		stuck = false
		next := e.copy(w)
		if bad := guarded(w, next, i); bad != "" {
			e.bad, e.at, e.by = bad, id, i
			return
		}
		to, known := e.visit(next, node{parent: id, actor: uint8(i)})
		if known {
			e.spare = append(e.spare, next)
		}
		e.edges = append(e.edges, edge{from: id, next: e.nodes[to].edges})
		e.nodes[to].edges = int32(len(e.edges) - 1)
	}
	if stuck && !e.nodes[id].final {
		e.bad, e.at, e.by = "deadlock: "+w.stuck(), id, -1
	}
}

// copy copies a world, into the memory of an unused one if there is any.
func (e *exploration) copy(w *world) *world {
	n := new(world)
	if k := len(e.spare); k > 0 {
		n, e.spare = e.spare[k-1], e.spare[:k-1]
	}
	w.copyTo(n)
	return n
}

// guarded runs one step and the invariants, and returns the violation, if any.
func guarded(before, w *world, i int) (bad string) {
	defer func() {
		if r := recover(); r != nil {
			bad = fmt.Sprint(r)
		}
	}()
	wake := w.step(i)
	for k := range w.actors {
		a := &before.actors[k]
		if k != i && w.actors[k].pc == a.pc && !before.guard(a) && w.guard(&w.actors[k]) && !wake {
			violate("lost wake-up: what %s waits for is true, nobody woke it", w.name(&w.actors[k]))
		}
	}
	w.invariants()
	return ""
}

// invariants hold in every state.
func (w *world) invariants() {
	for _, it := range w.queue {
		w.workValid(it.io, it.write)
	}
	var held [8]int // number of lists that hold the IOEnd of a write
	for _, io := range w.s.completed {
		held[w.owner(io)]++
	}
	for i := range w.actors {
		a := &w.actors[i]
		if a.f.work != nil && a.pc != pcDestroy {
			w.workValid(a.f.work, a.write)
		}
		if a.pc > pcTake && a.pc < pcRelease {
			for _, io := range a.f.batch {
				if !io.live || w.owner(io) < 0 {
					violate("%s has a freed IOEnd in its local list", w.name(a))
				}
				held[w.owner(io)]++
			}
		}
		if a.kind == exclusive && a.pc == pcBody {
			w.quiet(a)
		}
	}
	for i, n := range held {
		if n > 1 {
			violate("w%d is in two lists", i+1)
		}
	}
}

// workValid: a work item points at the IOEnd for which it was queued, and that IOEnd is not freed.
func (w *world) workValid(io *IOEnd, of int) {
	if !io.live || w.owner(io) != of {
		violate("freed IOEnd: the work item of w%d points at one", of+1)
	}
}

// quiet: truncate and punch never run with a conversion pending or converting.
func (w *world) quiet(a *actor) {
	for i := range w.writes {
		if wr := &w.writes[i]; wr.phase != notBegun && !wr.settled {
			violate("%s runs with w%d not settled", w.name(a), i+1)
		}
	}
}

// finished: all actors are done, nothing is lost, and every IOEnd is back in the pool.
func (w *world) finished() bool {
	if len(w.queue) > 0 || len(w.s.completed) > 0 || w.s.dio != 0 || w.s.unwritten != 0 || w.lock != 0 {
		return false
	}
	for i := range w.actors {
		if a := &w.actors[i]; a.pc != pcEnd && !(a.kind == worker && a.pc == pcStart) {
			return false
		}
	}
	for i := range w.writes {
		if wr := &w.writes[i]; !wr.reported || wr.io != nil || wr.converted == (wr.ioErr || wr.convErr) {
			return false
		}
	}
	return len(w.s.pool) == len(w.ios)
}

// stuck says which actor waits for what.
func (w *world) stuck() string {
	var s []string
	for i := range w.actors {
		if a := &w.actors[i]; a.pc != pcEnd && !(a.kind == worker && a.pc == pcStart) {
			s = append(s, w.name(a)+" waits")
		}
	}
	return strings.Join(append(s, fmt.Sprintf("%d direct I/O in flight", w.s.dio)), ", ")
}

// live: from every state some way leads to the end. If there is none, that is a deadlock too, although the actors may
// run in circles.
func (e *exploration) live() (string, []string) {
	ok := make([]bool, len(e.nodes))
	var todo []int32
	for id := range e.nodes {
		if e.nodes[id].final {
			ok[id] = true
			todo = append(todo, int32(id))
		}
	}
	for len(todo) > 0 {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for k := e.nodes[id].edges; k != 0; k = e.edges[k].next {
			if from := e.edges[k].from; !ok[from] {
				ok[from] = true
				todo = append(todo, from)
			}
		}
	}
	for id := len(ok) - 1; id >= 0; id-- { // the last one found shows the circle best
		if !ok[id] {
			return "deadlock: steps are left, but none leads out any more", append(e.replay(int32(id), -1), e.left(int32(id))...)
		}
	}
	return "", nil
}

// left describes the steps that are still possible in a state.
func (e *exploration) left(id int32) (lines []string) {
	w := newWorld(e.c, e.v)
	for _, i := range e.way(id) {
		w.step(i)
	}
	for i := range w.actors {
		if !w.enabled(&w.actors[i]) {
			continue
		}
		n := w.clone()
		n.log = func(format string, args ...any) { lines = append(lines, "left: "+fmt.Sprintf(format, args...)) }
		guarded(w, n, i)
	}
	return lines
}

// way returns the steps by which a state was first reached.
func (e *exploration) way(id int32) (way []int) {
	for ; e.nodes[id].parent >= 0; id = e.nodes[id].parent {
		way = append(way, int(e.nodes[id].actor))
	}
	slices.Reverse(way)
	return way
}

// replay runs the way to a state again and describes it step by step.
func (e *exploration) replay(at int32, by int) []string {
	way := e.way(at)
	if by >= 0 {
		way = append(way, by)
	}
	var trace []string
	w := newWorld(e.c, e.v)
	w.log = func(format string, args ...any) {
		trace = append(trace, fmt.Sprintf("%2d  ", len(trace)+1)+fmt.Sprintf(format, args...))
	}
	for _, i := range way {
		if bad := guarded(w.clone(), w, i); bad != "" {
			break
		}
	}
	return trace
}

// hash identifies a state. Actors of a kind are sorted by what they do, writes by where they are. Data that no later
// step reads is left out: promises of a flush that were kept, and the number of freed IOEnds, to which no pointer is
// left (invariants).
func (e *exploration) hash(w *world) [2]uint64 {
	var others, writes order
	w.orderActors(&others)
	w.orderWrites(&others, &writes)
	b := e.key[:0]
	list := func(l []*IOEnd) {
		b = append(b, byte(len(l)))
		for _, io := range l {
			b = append(b, byte(writes.place(w.owner(io))))
		}
	}
	for _, i := range writes.list() {
		b = w.writes[i].encode(b, w.s.base)
		b = append(b, byte(w.actors[i].pc))
	}
	for _, i := range others.list() {
		a := &w.actors[i]
		b = append(b, byte(a.kind), byte(a.pc), byte(a.i), bit(a.more), bit(w.lock == i+1))
		if a.flushing() {
			b = append(b, byte(a.after(w.s.base)))
			must := w.promised(a)
			for _, r := range writes.list() {
				b = append(b, must>>r&1)
			}
		}
		if a.f.work != nil {
			b = append(b, byte(writes.place(w.owner(a.f.work))), 0xFB)
		}
		if a.pc <= pcRelease {
			list(a.f.batch)
		}
		list(a.f.free)
	}
	b = append(b, 0xFE, byte(len(w.queue)))
	for _, it := range w.queue {
		b = append(b, byte(writes.place(w.owner(it.io))))
	}
	list(w.s.completed)
	b = append(b, byte(w.s.dio), byte(w.s.unwritten), bit(w.s.blocked), byte(w.s.waiting), byte(w.s.admit),
		bit(w.s.convErr != nil), bit(w.s.ioErr != nil), byte(len(w.ios)-len(w.s.pool)))
	for _, n := range w.s.epochs {
		b = append(b, byte(n))
	}
	e.key = b
	return [2]uint64{maphash.Bytes(e.seeds[0], b), maphash.Bytes(e.seeds[1], b)}
}

// flushing reports whether the actor will still read its mark and its promise.
func (a *actor) flushing() bool {
	return a.kind != worker && (a.pc >= pcTake && a.pc <= pcDestroy || a.pc == pcWait)
}

// after is the number of epochs from the first open epoch to the actor's mark.
func (a *actor) after(base uint64) uint64 { return max(a.mark, base) - base }

// promised is the set of writes that a flush must still see converted.
func (w *world) promised(a *actor) (must uint8) {
	for i := range w.writes {
		if !w.writes[i].converted {
			must |= a.must & (1 << i)
		}
	}
	return must
}

// order sorts indexes by their keys; indexes with equal keys keep the order in which they were added.
type order struct {
	n   int
	of  [8]int
	key [8]uint64
}

func (o *order) add(of int, key uint64) {
	i := o.n
	for ; i > 0 && o.key[i-1] > key; i-- {
		o.of[i], o.key[i] = o.of[i-1], o.key[i-1]
	}
	o.of[i], o.key[i] = of, key
	o.n++
}

func (o *order) list() []int { return o.of[:o.n] }

// place is where an index is in the list, or -1.
func (o *order) place(of int) int { return slices.Index(o.list(), of) }

// orderActors sorts all actors except the writers by what they do.
func (w *world) orderActors(o *order) {
	for i := range w.actors {
		a := &w.actors[i]
		if a.kind == writer {
			continue
		}
		key := uint64(a.kind)<<48 | uint64(a.pc)<<40 | uint64(a.i)<<32 | uint64(len(a.f.batch))<<24 | uint64(len(a.f.free))<<16
		if a.flushing() {
			key |= a.after(w.s.base)<<8 | uint64(bits.OnesCount8(w.promised(a)))
		}
		o.add(i, key)
	}
}

// orderWrites sorts the writes by where they are.
func (w *world) orderWrites(others, o *order) {
	for i := range w.writes {
		wr := &w.writes[i]
		k := uint64(w.actors[i].pc)<<8 | uint64(wr.phase)<<4 | uint64(bit(wr.settled)) | uint64(bit(wr.reported))<<1
		if wr.io != nil {
			k = k<<4 | uint64(slices.Index(w.s.completed, wr.io)+1)
			for _, a := range others.list() {
				k = k<<3 | uint64(slices.Index(w.actors[a].f.batch, wr.io)+1)
			}
		}
		o.add(i, k<<3|uint64(bit(wr.ioErr))|uint64(bit(wr.convErr))<<1|uint64(bit(wr.over))<<2)
	}
}

func (wr *write) encode(b []byte, base uint64) []byte {
	b = append(b, byte(wr.phase), bit(wr.converted)|bit(wr.reported)<<1|bit(wr.settled)<<2|bit(wr.ioErr)<<3|bit(wr.convErr)<<4|bit(wr.over)<<5)
	if wr.io != nil {
		b = append(b, wr.io.flags, bit(wr.io.live))
		if !wr.settled {
			b = append(b, byte(wr.io.epoch-base))
		}
	}
	return append(b, 0xFF)
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}
