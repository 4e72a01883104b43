// Package stress generates asynchronous direct I/O on a file: the requests of aio-stress, in its order, or those of fio. It
// owns nothing on disk: what it changes goes through package ext4.
package stress

import (
	"errors"
	"fmt"
	"io/fs"

	"ext4img/cmd/ext4img/internal/sizes"
	"ext4img/ext4"
)

// Options say what to do.
type Options struct {
	Plan    Plan  // of aio-stress; Stages is made from the list below
	Stages  []int // -o of aio-stress, as it was given; none: all
	Depth   int   // requests in flight: with FIO in all, else for each context
	Threads int   // of aio-stress

	FIO *FIOPlan // takes the place of all the above but the depth; its size 0 is that of the file. nil: as aio-stress

	NoSync    bool // neither between stages nor at the end
	SyncEvery int  // requests; 0: never

	Verify bool   // stamp what is written, to be read back
	Seed   uint64 // of stamps and side jobs

	TruncateEvery, PunchEvery, FallocateEvery int // requests between side jobs; 0: none
}

// Job is one run, as planned.
type Job struct {
	Bytes    int64            // expected in all; -1: not known
	Progress func(done int64) // is told how many bytes are done, by one goroutine; nil: nobody

	options Options
	gens    []Generator
	size    int64 // of the range
	record  int64
	files   int // open files
	depth   int // of each thread's queue
}

// NewJob plans a run on the file of this name. An error says which option cannot be.
func NewJob(fsys *ext4.FS, name string, o Options) (*Job, error) {
	if o.FIO != nil {
		return newFIOJob(fsys, name, o)
	}
	p := o.Plan
	p.Iter, p.Stages = min(p.Iter, o.Depth), 0
	for _, s := range o.Stages {
		if s < 0 || s >= int(lastStage) {
			return nil, fmt.Errorf("stage %d: must be 0 to 3", s)
		}
		p.Stages |= 1 << s
	}
	threads := o.Threads
	switch {
	case p.Record < 1 || p.Record > 1<<28 || p.Contexts < 1 || p.Iter < 1 || threads < 1 || p.Batch < 0:
		return nil, errors.New("record size, contexts, depth, requests of a turn and threads must be more than 0")
	case p.Size < int64(p.Contexts)*p.Offset || p.Size < p.Record:
		return nil, fmt.Errorf("size %s: too small for %d contexts", sizes.Short(p.Size), p.Contexts)
	case p.Offset > 0 && p.Size-2*int64(p.Contexts-1)*p.Offset < p.Record:
		return nil, fmt.Errorf("size %s: nothing is left for the last of %d contexts", sizes.Short(p.Size), p.Contexts)
	}
	threads = min(threads, p.Contexts)
	return &Job{
		options: o, gens: NewGenerators(p, threads), size: p.Size, record: p.Record, files: p.Contexts, Bytes: -1,
		depth: o.Depth * ((p.Contexts + threads - 1) / threads),
	}, nil
}

// newFIOJob is NewJob for requests like fio's.
func newFIOJob(fsys *ext4.FS, name string, o Options) (*Job, error) {
	p := *o.FIO
	if p.Size == 0 {
		info, err := fsys.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errors.New("--size must be given for a file that does not exist")
		}
		if err != nil {
			return nil, err
		}
		p.Size = info.Size()
	}
	if p.IOSize == 0 {
		p.IOSize = p.Size
	}
	g, err := newFIOGen(p)
	if err != nil {
		return nil, err
	}
	job := &Job{options: o, gens: []Generator{g}, size: p.Size, record: p.BS, files: 1, depth: o.Depth, Bytes: p.IOSize}
	if p.Runtime > 0 {
		job.Bytes = -1
	}
	return job, nil
}
