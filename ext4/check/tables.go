package check

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"ext4img/ext4/layout"
)

// linkCounts counts the links of inodes: one bit for each inode with a link, and a record for each with several.
type linkCounts struct {
	one  *bitmap
	more *bitmap // inodes with a record in many
	mu   sync.Mutex
	many map[layout.Ino]uint32
}

func newLinkCounts(g *geometry) *linkCounts {
	made := func() *bitmap { return newBitmap(1, uint64(g.inodes), g.ipg) }
	return &linkCounts{one: made(), more: made(), many: map[layout.Ino]uint32{}}
}

// store sets the count of an inode that has no count yet.
func (l *linkCounts) store(ino layout.Ino, n uint16) {
	if n == 0 {
		return
	}
	l.one.set(uint64(ino))
	if n > 1 {
		l.more.set(uint64(ino))
		l.mu.Lock()
		l.many[ino] = uint32(n)
		l.mu.Unlock()
	}
}

// add adds one link.
func (l *linkCounts) add(ino layout.Ino) {
	if !l.one.set(uint64(ino)) {
		return
	}
	l.more.set(uint64(ino))
	l.mu.Lock()
	l.many[ino] = max(l.many[ino], 1) + 1
	l.mu.Unlock()
}

// get returns the count, with the same upper bound as in e2fsck.
func (l *linkCounts) get(ino layout.Ino) uint32 {
	switch {
	case !l.one.test(uint64(ino)):
		return 0
	case !l.more.test(uint64(ino)):
		return 1
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return min(max(l.many[ino], 1), 65500)
}

// A dirRecord is the record of a directory.
type dirRecord struct {
	ino        layout.Ino
	parent     layout.Ino // the directory in which the first entry for it was found; 0: none
	dotdot     layout.Ino // the inode of its ".."
	generation uint32
}

// dirTable holds the directories; after sort, in the order of their inode numbers.
type dirTable struct {
	mu   sync.Mutex
	recs []dirRecord
}

func (t *dirTable) add(ino layout.Ino, generation uint32) {
	t.mu.Lock()
	t.recs = append(t.recs, dirRecord{ino: ino, generation: generation})
	t.mu.Unlock()
}

func (t *dirTable) sort() {
	slices.SortFunc(t.recs, func(a, b dirRecord) int { return cmp.Compare(a.ino, b.ino) })
}

// get returns a directory's record, or nil. It may be called only after sort.
func (t *dirTable) get(ino layout.Ino) *dirRecord {
	// Only the numbers are compared: other goroutines may be changing the other fields.
	i := sort.Search(len(t.recs), func(i int) bool { return t.recs[i].ino >= ino })
	if i == len(t.recs) || t.recs[i].ino != ino {
		return nil
	}
	return &t.recs[i]
}

// claimParent records that dir has an entry for ino. If another directory has one already, it returns that directory,
// or else 0.
func (t *dirTable) claimParent(ino, dir layout.Ino) layout.Ino {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.get(ino)
	if r == nil {
		return 0
	}
	if r.parent != 0 {
		return r.parent
	}
	r.parent = dir
	return 0
}

// A dirBlock is one block of a directory. pblk is 0 for a hole. A directory with inline data has a block 0, which is
// in i_block, and a block 1 with the rest.
type dirBlock struct {
	pblk   uint64
	ino    layout.Ino
	lblk   uint32
	inline bool
}

// onceFlag is set by any goroutine and stays set.
type onceFlag struct{ v atomic.Bool }

// raise sets the flag and reports whether it was not set before.
func (f *onceFlag) raise() bool  { return !f.v.Swap(true) }
func (f *onceFlag) raised() bool { return f.v.Load() }

// stats counts what was seen.
type stats struct {
	files, dirs atomic.Uint64
}

// meter passes the progress on, from one goroutine at a time.
type meter struct {
	mu          sync.Mutex
	report      func(pass int, done, total uint64)
	pass        int
	done, total uint64
}

func (m *meter) begin(pass int, total uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pass, m.done, m.total = pass, 0, total
	m.show()
}

func (m *meter) step(n uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	m.show()
}

func (m *meter) show() {
	if m.report != nil {
		m.report(m.pass, min(m.done, m.total), m.total)
	}
}

// hex formats a number like checksums and magic numbers.
func hex[T ~uint8 | ~uint16 | ~uint32 | ~uint64](v T) string { return fmt.Sprintf("%#x", uint64(v)) }

// workers is how many goroutines check things.
func (c *checker) workers() int { return c.opt.workers() }

// eachGroups hands out ranges of groups to the workers.
func (c *checker) eachGroups(batch uint32, fn func(w *worker, from, to uint32)) error {
	var next atomic.Uint32
	var wg sync.WaitGroup
	for range c.workers() {
		wg.Go(func() {
			w := newWorker(c)
			for c.cancelled() == nil {
				n := next.Add(1) - 1
				if uint64(n)*uint64(batch) >= uint64(c.geo.groups) {
					return
				}
				from := n * batch
				to := uint32(min(uint64(from)+uint64(batch), uint64(c.geo.groups)))
				fn(w, from, to)
				c.meter.step(uint64(to - from))
			}
		})
	}
	wg.Wait()
	return c.cancelled()
}
