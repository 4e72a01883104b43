package journal

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ext4img/journal/buf"
)

const (
	defaultCacheBytes = 64 << 20
	// maxFrozenBytes bounds the copies that wait for a checkpoint, however large the log is.
	maxFrozenBytes = 24 << 20
	// maxTransactionBytes bounds what one transaction keeps in memory, however large the log is. But a transaction
	// may always have as many blocks as fit into the smallest log that mke2fs makes, whatever their size.
	maxTransactionBytes = 12 << 20
	minTransaction      = 1024 / 4
	// minLogBlocks is the shortest log that Open takes: a transaction may fill a quarter of it.
	minLogBlocks = 16
)

// A Journal makes changes of metadata atomic and durable. See the package comment.
//
// Locks, in the order they are taken: the committer's turn (state.busy), mu, superMu.
type Journal struct {
	cfg   Config
	cache *buf.Cache
	log   *logDevice // nil: no journal

	// mu is the handle lock: a Handle holds it, Views share it.
	mu         sync.RWMutex
	running    *transaction
	committing *transaction      // frozen, on its way to the log; nil if none
	frozen     map[uint64][]byte // newest committed copy of each block that is in the log and not home yet
	closed     bool
	spare      [][]byte         // block buffers for snapshots; only the running handle uses it
	idle       *held            // a list of unused held structures
	held       map[uint64]*held // the blocks of the running handle; empty if none runs

	activate struct {
		sync.Mutex
		done bool
	}

	// state orders commits and checkpoints: the goroutine that sets busy is the committer.
	state struct {
		sync.Mutex
		turn sync.Cond // busy was cleared, or a transaction has committed
		busy bool
	}
	first, last uint32 // the log's blocks for full commits, last not included; fixed
	head        uint32 // next log block to write; used by the committer only

	superMu sync.Mutex
	super   super
	code    *codec // fixed after Open, except for FeatureRevoke, which changes no block's format

	runningTID, committedTID atomic.Uint32
	failure                  atomic.Pointer[error]
	stats                    counters
	holder                   holder // paranoid builds: who holds the handle
	ticker                   *ticker
}

type counters struct {
	handles, commits, logged, revoked, logBytes, checkpoints, home atomic.Uint64
}

// Open makes a journal ready for handles. The log must be empty: see Recover.
func Open(cfg Config) (*Journal, error) {
	if n := cfg.BlockSize; n < minBlockSize || n > maxBlockSize || n&(n-1) != 0 {
		return nil, fmt.Errorf("block size %d: %w", n, ErrUnsupported)
	}
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = defaultCacheBytes
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	j := &Journal{cfg: cfg, cache: buf.NewCache(cfg.BlockSize, cfg.CacheBytes), frozen: make(map[uint64][]byte), held: make(map[uint64]*held)}
	j.state.turn.L = &j.state.Mutex
	first := TID(1)
	if cfg.Log != nil {
		if err := j.openLog(); err != nil {
			return nil, err
		}
		if first = j.super.sequence(); first == 0 {
			first = 1
		}
	}
	j.running = newTransaction(first)
	j.runningTID.Store(uint32(first))
	j.committedTID.Store(uint32(first - 1))
	j.ticker = startTicker(j, cfg.CommitInterval)
	return j, nil
}

func (j *Journal) openLog() error {
	log, err := newLogDevice(j.cfg.Device, *j.cfg.Log)
	if err != nil {
		return err
	}
	if log.blockSize != j.cfg.BlockSize {
		return fmt.Errorf("log: block size %d, want the file system's %d: %w", log.blockSize, j.cfg.BlockSize, ErrUnsupported)
	}
	s, err := log.readSuper()
	if err != nil {
		return err
	}
	if s.start() != 0 {
		return fmt.Errorf("log block %d: the log is not empty, recover it first: %w", s.start(), ErrUnsupported)
	}
	if rest := j.cfg.Features &^ knownFeatures; rest != 0 {
		return fmt.Errorf("journal features %v: %w", rest, ErrUnsupported)
	}
	s.setFeatures(j.cfg.Features &^ s.features())
	if last, _ := s.last(); last-s.first() < minLogBlocks {
		return fmt.Errorf("log: %d blocks, want at least %d: %w", last-s.first(), minLogBlocks, ErrUnsupported)
	}
	j.log, j.super = log, s
	j.first, j.head = s.first(), s.first()
	j.last, _ = s.last()
	j.code = s.codec(log.blockSize)
	return nil
}

// logBlocks is the number of log blocks for full commits.
func (j *Journal) logBlocks() int { return int(j.last - j.first) }

// need is the number of log blocks that a transaction takes, its commit block included.
func (j *Journal) need(blocks, revokes int) int {
	t, r := j.code.tagsPerBlock(), j.code.revokesPerBlock()
	return blocks + (blocks+t-1)/t + (revokes+r-1)/r + 1
}

// Whole, given to Start as credits, asks for a transaction of its own.
const Whole = 1 << 30

// most is the number of log blocks that a transaction may take: a quarter of the log. A transaction of a single
// handle may take twice as much, since half of the log is free when a transaction begins (see commit).
func (j *Journal) most() int {
	return min(j.logBlocks()/4, max(minTransaction, maxTransactionBytes/j.cfg.BlockSize))
}

// fits reports whether the running transaction has room for credits more blocks.
func (j *Journal) fits(credits int) bool {
	if j.log == nil {
		return true
	}
	limit := j.most()
	return credits <= limit && j.need(len(j.running.dirty)+credits, len(j.running.revoked)) <= limit
}

// share is the number of blocks that a transaction may hold.
func (j *Journal) share() int {
	n := j.most()
	for n > 1 && j.need(n, 0) > j.most() {
		n--
	}
	return n
}

// Start begins a handle that changes about credits distinct blocks. It waits until no other handle and no view runs.
// If the running transaction has no room, it also waits for a commit. credits is an estimate: a handle that needs
// more grows, as long as there is room (Handle.Need). A handle that asks for more than a transaction may hold gets a
// transaction of its own.
func (j *Journal) Start(credits int) (*Handle, error) {
	j.holder.mustNotHold("Start")
	if err := j.activateOnce(); err != nil {
		return nil, err
	}
	for {
		if err := j.Err(); err != nil {
			return nil, err
		}
		j.mu.Lock()
		if j.closed {
			j.mu.Unlock()
			return nil, fmt.Errorf("journal: %w", ErrClosed)
		}
		fits := j.fits(credits)
		if !fits && j.running.empty() {
			credits, fits = j.share(), true
		}
		if fits {
			j.holder.set()
			return &Handle{j: j, tid: j.running.tid, credits: credits, blocks: j.held}, nil
		}
		tid := j.running.tid
		j.mu.Unlock()
		if err := j.Commit(tid); err != nil {
			return nil, err
		}
	}
}

// activateOnce calls Config.Activate before the first handle. Nothing is dirty yet, so it then empties the cache, and
// the objects that Activate wrote are read again.
func (j *Journal) activateOnce() error {
	j.activate.Lock()
	defer j.activate.Unlock()
	if j.activate.done || j.Err() != nil {
		return nil
	}
	if j.cfg.Activate != nil {
		j.mu.Lock()
		defer j.mu.Unlock()
		if err := j.cfg.Activate(); err != nil {
			return err
		}
		j.cache.Reset()
	}
	j.activate.done = true
	return nil
}

// Committed is the newest transaction that is durable. It takes no lock.
func (j *Journal) Committed() TID { return TID(j.committedTID.Load()) }

// Running is the transaction that the next handle joins. It takes no lock.
func (j *Journal) Running() TID { return TID(j.runningTID.Load()) }

// Stats returns what was counted since Open.
func (j *Journal) Stats() Stats {
	c := &j.stats
	return Stats{
		Handles: c.handles.Load(), Commits: c.commits.Load(), Logged: c.logged.Load(), Revoked: c.revoked.Load(),
		LogBytes: c.logBytes.Load(), Checkpoints: c.checkpoints.Load(), Home: c.home.Load(), CachedBlocks: j.cache.Len(),
	}
}

// Err is the error that aborted the journal, or nil.
func (j *Journal) Err() error {
	if p := j.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// MustNotHold panics, in builds with the tag paranoid, if the calling goroutine holds a handle or a view. Callers use
// it before they wait for something that may need another handle first.
func (j *Journal) MustNotHold(what string) { j.holder.mustNotHold(what) }

// Abort stops all changes for good: from now on handles and commits fail with err. It records the error in the
// journal superblock (s_errno) if the device still accepts the write. The log stays for recovery.
func (j *Journal) Abort(err error) {
	err = fmt.Errorf("journal aborted: %w", err)
	if !j.failure.CompareAndSwap(nil, &err) || j.log == nil {
		return
	}
	j.superMu.Lock()
	defer j.superMu.Unlock()
	j.super.setErrno(-int32(syscall.EIO))
	if j.log.writeSuper(j.super) == nil {
		_ = j.log.dev.Flush() // the first error is the one to report
	}
}

// fail aborts the journal and returns the sticky error.
func (j *Journal) fail(err error) error {
	j.Abort(err)
	return j.Err()
}

// Close commits, checkpoints and marks the log empty. An aborted journal leaves its log as it is and returns the
// error that aborted it. The devices stay open.
func (j *Journal) Close() error {
	j.holder.mustNotHold("Close")
	j.ticker.stop()
	err := j.Checkpoint()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return j.Err()
	}
	j.closed = true
	if err != nil || j.log == nil {
		return err
	}
	j.superMu.Lock()
	defer j.superMu.Unlock()
	if j.super.start() == 0 {
		return nil
	}
	j.super.setState(0, j.running.tid)
	if err := j.log.writeSuper(j.super); err != nil {
		return err
	}
	return j.log.dev.Flush()
}

// A ticker commits every interval.
type ticker struct {
	quit, done chan struct{}
}

func startTicker(j *Journal, every time.Duration) *ticker {
	if every <= 0 {
		return nil
	}
	t := &ticker{make(chan struct{}), make(chan struct{})}
	go func() {
		defer close(t.done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-t.quit:
				return
			case <-tick.C:
				_ = j.commitChanges() // a failure is sticky: the next call reports it
			}
		}
	}()
	return t
}

func (t *ticker) stop() {
	if t == nil {
		return
	}
	select {
	case <-t.quit:
	default:
		close(t.quit)
	}
	<-t.done
}
