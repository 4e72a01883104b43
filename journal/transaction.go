package journal

import (
	"slices"

	"ext4img/journal/buf"
)

// A transaction is the changes of the handles that have joined it.
type transaction struct {
	tid     TID
	dirty   map[uint64]*buf.Buffer // each pinned once
	revoked map[uint64]struct{}    // blocks whose copies in earlier transactions must not be replayed
	// unflushed, without a journal: a handle has written home since the last flush.
	unflushed bool
}

func newTransaction(tid TID) *transaction {
	return &transaction{tid: tid, dirty: make(map[uint64]*buf.Buffer), revoked: make(map[uint64]struct{})}
}

func (t *transaction) empty() bool { return len(t.dirty) == 0 && len(t.revoked) == 0 && !t.unflushed }

// sorted returns the keys of m in ascending order.
func sorted[V any](m map[uint64]V) []uint64 {
	keys := make([]uint64, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
