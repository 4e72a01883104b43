package check

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"ext4img/aio"
	"ext4img/ext4/layout"
)

// Options of a check. The zero value is ready to use.
type Options struct {
	// Workers is the number of goroutines that check inodes and directories; 0: one for each processor.
	Workers int
	// MaxPerCode bounds how many problems of one code are listed; 0: 1,000. All problems are counted.
	MaxPerCode int
	// Progress, if set, is called during the work: done of total units of the pass. It is never called by two
	// goroutines at once.
	Progress func(pass int, done, total uint64)
	// ApplyFast applies the records of fast commits to a device on which the full commits have been replayed. nil: an
	// image with fast commits is checked without them, and the report says so.
	ApplyFast func(dev aio.Device) error
	// Context, if set, ends the check early with its error.
	Context context.Context
}

func (o Options) workers() int {
	if o.Workers > 0 {
		return o.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// errStop ends the passes after a finding that makes it useless to go on. The finding itself is in the report.
var errStop = errors.New("check cannot go on")

// A checker is one run.
type checker struct {
	dev aio.Device
	opt Options
	rep *reporter

	sb    layout.Superblock
	geo   *geometry
	descs []layout.Desc
	super uint64 // block of the superblock in use; 0: the primary one
	known *layout.Geometry

	orphans   map[layout.Ino]bool // inodes on the orphan list, in an image whose journal was recovered
	recovered *Recovered

	// Results of pass 1, for the later passes.
	blocks      *bitmap    // clusters in use
	dupes       *bitmap    // clusters in use twice
	metadata    *bitmap    // blocks of superblocks, descriptors, bitmaps and inode tables
	mu          sync.Mutex // guards dirBlocks while workers add theirs
	inodes      *bitmap    // inodes in use
	symlinks    *bitmap
	dirs        *bitmap // directories
	regular     *bitmap // regular files
	suspect     *bitmap // inodes with fields that pass 2 reports
	inBadBlock  *bitmap // inodes whose record lies in a bad block
	imagic      *bitmap
	casefolded  *bitmap
	links       *linkCounts // link counts stored in the inodes
	found       *linkCounts // link counts found in the directories
	dirList     dirTable
	dirBlocks   []dirBlock
	indexes     indexTable
	xattrBlocks xattrBlocks
	eaRefs      eaRefs
	policies    policies
	badBlocks   *bitmap
	quota       *quotaUsage
	largeFile   onceFlag // a file beyond 2 GiB was seen
	largeDir    onceFlag // a directory that needs large_dir was seen
	stats       stats
	toil        atomic.Uint64 // cost so far; see again
	dirTotal    atomic.Uint64 // directory blocks
	over        onceFlag      // the bound of again is passed
	meter       meter
}

// Run checks the file system on dev. It returns an error of the device or of the context. Everything that is wrong
// with the file system is in the report, even if the file system could not be checked at all (Report.Fatal).
func Run(dev aio.Device, o Options) (*Report, error) {
	if o.MaxPerCode == 0 {
		o.MaxPerCode = 1000
	}
	c := &checker{dev: dev, opt: o, rep: newReporter(o.MaxPerCode)}
	c.meter.report = o.Progress
	err := c.run()
	r := c.report()
	switch {
	case err == nil, errors.Is(err, errStop):
	case errors.As(err, new(*fatalError)):
		r.Fatal = err
	default:
		return nil, err
	}
	return r, nil
}

// fatalError says why a file system cannot be checked.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

func fatalf(format string, args ...any) error { return &fatalError{fmt.Errorf(format, args...)} }

// run goes through the passes.
func (c *checker) run() error {
	if err := c.open(); err != nil {
		return err
	}
	if err := c.checkMMP(); err != nil {
		return err
	}
	if err := c.prepareJournal(); err != nil {
		return err
	}
	for _, pass := range []func() error{c.pass0, c.pass1, c.pass1b, c.pass2, c.pass3, c.pass4, c.pass5, c.pass6} {
		if err := c.cancelled(); err != nil {
			return err
		}
		if err := pass(); err != nil {
			return err
		}
		if c.over.raised() {
			return errStop
		}
	}
	return nil
}

// cancelled is the error of the context, if it has ended.
func (c *checker) cancelled() error {
	if c.opt.Context == nil {
		return nil
	}
	return c.opt.Context.Err()
}

// report collects the result.
func (c *checker) report() *Report {
	r := &Report{Problems: c.rep.sorted(), Counts: c.rep.counts, Recovered: c.recovered, GivesUp: c.rep.givesUp}
	r.Files, r.Directories = c.stats.files.Load(), c.stats.dirs.Load()
	if c.geo != nil {
		r.Blocks, r.BlockSize = c.geo.blocks, c.geo.bs
	}
	if c.blocks != nil {
		// The boot block before the first group has no bit in any bitmap.
		r.BlocksUsed = min(c.geo.first+c.blocks.count()*uint64(c.geo.ratio), c.geo.blocks)
	}
	if c.inodes != nil {
		r.Inodes = c.inodes.count()
	}
	return r
}
