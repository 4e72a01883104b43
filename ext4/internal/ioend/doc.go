// Package ioend is the completed-IO state machine of one inode, after the ext4 patch "completed_io locking cleanup
// V4" (2012) to fs/ext4/page-io.c and the wait of its follow-up "fix ext4_flush_completed_IO wait semantics". It owns
// no bytes on disk.
//
//	 Begin            device        AddCompleteIO          flushCompletedIO
//	───────► in flight ─────► ended ────────────► completed ─────────────────────────────► pooled
//	                                               list      (A) take (B) convert, report,
//	                                                │            drop counts (C) release (D) destroy
//	                                                └ list was empty: Queued, one work item
//
// An IOEnd is one direct write. flagUnwritten says that its range is not known to be converted yet. flagQueued says
// that a queued work item points at it. Two contexts must let go of an IOEnd: the one that converted it, and its work
// item if it has one. The second to let go frees it.
//
// What it promises. A write is reported (Done) after its range was converted, or with the error that kept it
// unwritten; only then do its counts drop. The first failed conversion and the first failed I/O are returned by the
// next TakeError, once. FlushUnwrittenIO returns when every unwritten write begun before it is settled. Its own pass
// (V4's flush) converts the writes on the list. Its wait covers the writes that a worker took before, and those that
// have ended but are not on the list yet. It waits for the writes begun before it, not for a count of zero, so
// writers that never pause do not starve it. Block holds off new direct I/O. Direct I/O that waited passes before the
// next Block.
//
// What it asks. Each time AddCompleteIO returns true, FlushCompletedIO must be called once with that IOEnd, from a
// context that holds no lock which a caller of WaitDIO or FlushUnwrittenIO can hold, above all not the inode lock.
// The caller does not touch an IOEnd after it has handed it in. Truncate and punch call Block, WaitDIO and
// FlushUnwrittenIO, stop at its error, make their change, and call Unblock.
//
// # Shape
//
// The methods of state and flush are pure: no lock, no goroutine, no clock. Each is one atomic region. Inode is the thin
// layer that runs them under the lock and sleeps. The tests step the same methods through every interleaving.
//
// # What the exploration says
//
// The tests visit every interleaving of writers, workers, callers of FlushUnwrittenIO, truncate and punch, and direct
// reads. In every state: there is no deadlock, and from each state a way leads to the end; no wake-up is missing; no
// IOEnd is freed twice, lost, in two lists, or reused while a work item points at it; Unwritten is cleared once;
// truncate and punch run with nothing pending; when a flush has returned nil, everything was converted that was
// complete when it began. The tests print the number of states (explore_test.go).
//
// V4's flush without the wait does not have the last property. testdata/v4-local-list.txt (a worker holds the batch) and
// testdata/v4-not-added.txt (ended, not on the list yet) are the shortest interleavings that show it. A worker that needs
// the inode lock ends in testdata/truncate-deadlock.txt: the deadlock that the patch removed.
//
// The questions of the patch's review:
//
//   - Must all flags change in one hold of the lock? No. One hold for each IOEnd is as safe. For each IOEnd, clearing
//     Unwritten and testing Queued belong together, and for the work, clearing Queued and testing Unwritten do. If either
//     pair is split over two holds, the IOEnd is freed twice, or while its work item still runs. One hold for all
//     costs less, so it stays.
//   - Does work that is always queued break anything? No. Each IOEnd then waits for its own work item, and most of these
//     find an empty list. It only costs time.
//   - May a context take the IOEnds one by one? Yes, if it goes on until the list was empty after it took the last one,
//     and only then gives up the claim of its own work. A context that takes one IOEnd for each work item loses writes,
//     because work is queued only if the list was empty. Taking them one by one costs one handle for each write instead
//     of one for each batch.
package ioend
