package stress

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ext4img/cmd/ext4img/internal/pump"
	"ext4img/ext4"
)

// Run is a job at work.
type Run struct {
	ctx    context.Context
	fs     *ext4.FS
	align  int
	job    *Job
	files  []*ext4.File
	stamps *stamps // nil: nothing is verified
	side   *sideJobs
	lat    latencies
	units  int64 // verified
	ios    atomic.Int64
	bytes  atomic.Int64
}

// Open makes a job ready to run on the file of this name, which is created if it is missing. Buffers begin at multiples of
// align bytes.
func (job *Job) Open(ctx context.Context, fs *ext4.FS, align int, name string) (*Run, error) {
	r := &Run{ctx: ctx, fs: fs, align: align, job: job}
	var err error
	if job.options.Verify {
		if job.record%stampUnit != 0 {
			return nil, fmt.Errorf("verify: block size %d: must be a multiple of %d", job.record, stampUnit)
		}
		if r.stamps, err = newStamps(job.size, job.options.Seed); err != nil {
			return nil, err
		}
	}
	if r.files, err = openAll(fs, name, job.files); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if r.stamps != nil {
		info, err := r.files[0].Stat()
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.stamps.fresh = info.Size() == 0
	}
	if r.side = newSideJobs(job.options, r.files[0], job.size); r.side != nil && r.stamps != nil {
		r.stamps.loose = true
	}
	return r, nil
}

// openAll opens the file once for each context, creating it if it is missing.
func openAll(fs *ext4.FS, name string, n int) (files []*ext4.File, err error) {
	for range n {
		f, err := fs.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	return files, nil
}

// Do does everything up to the final sync. It returns the first error.
func (r *Run) Do() error {
	var wg sync.WaitGroup
	errs := make([]error, len(r.job.gens)+1)
	threads := make([]*thread, len(r.job.gens))
	for i, g := range r.job.gens {
		threads[i] = &thread{r: r, gen: g}
		if i == 0 {
			threads[i].progress = r.job.Progress
		}
		wg.Go(func() { errs[i] = threads[i].run() })
	}
	wg.Wait()
	for _, t := range threads {
		r.lat.merge(&t.lat)
	}
	if r.side != nil {
		errs[len(errs)-1] = r.side.stop()
	}
	if !r.job.options.NoSync {
		errs = append(errs, r.files[0].Sync())
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Verify reads back what was written, if the options ask for it, and compares it.
func (r *Run) Verify() (err error) {
	if r.stamps != nil {
		r.units, err = r.stamps.verify(r.files[0], r.job.size)
	}
	return err
}

// Close closes the file.
func (r *Run) Close() (err error) {
	for _, f := range r.files {
		if e := f.Close(); err == nil {
			err = e
		}
	}
	return err
}

// Result is what a run did.
type Result struct {
	IOs, Bytes int64 // requests and bytes that came back without error
	Latency    Latency
	Depth      int   // of all queues together
	Verified   int64 // bytes that were compared
	SideJobs   int64 // how often they ran; -1: there were none to run
	MaxRSS     int64 // the most memory that the program has had, in bytes
}

// Result is what has been done so far.
func (r *Run) Result() Result {
	res := Result{
		IOs: r.ios.Load(), Bytes: r.bytes.Load(), Latency: r.lat.summary(), Depth: r.job.depth * len(r.job.gens),
		Verified: r.units * stampUnit, SideJobs: -1, MaxRSS: maxRSS(),
	}
	if r.side != nil {
		res.SideJobs = r.side.count.Load()
	}
	return res
}

// thread drives one generator through its own queue.
type thread struct {
	r        *Run
	gen      Generator
	pump     *pump.Pump
	progress func(done int64) // of the first thread only
	lat      latencies
	since    int // requests since the last sync
}

// inFlight is what a request carries.
type inFlight struct {
	start time.Time
}

func (t *thread) run() (err error) {
	job := t.r.job
	t.pump, err = pump.New(t.r.ctx, t.r.fs, job.depth, int(job.record), t.r.align)
	if err != nil {
		return err
	}
	t.pump.Done = t.done
	if t.r.side != nil { // they may fill the file system: what xfstests generic/299 allows
		t.pump.Forgive = syscall.ENOSPC
	}
	for _, req := range t.pump.Free {
		req.User = &inFlight{}
		if _, err := rand.Read(req.Buf); err != nil {
			return errors.Join(err, t.pump.Close())
		}
	}
	for more := true; more && err == nil; more = err == nil && t.gen.Restart() {
		err = t.stage()
		if e := t.pump.Drain(); err == nil {
			err = e
		}
		if err == nil && !job.options.NoSync {
			err = t.r.files[0].Sync()
		}
	}
	if e := t.pump.Close(); err == nil {
		err = e
	}
	return err
}

// stage sends batch after batch until the generator has no more.
func (t *thread) stage() error {
	var batch []Request
	var reqs []*ext4.Request
	for {
		if len(t.pump.Free) == 0 {
			if err := t.pump.Reap(1); err != nil {
				return err
			}
		}
		batch = t.gen.Next(batch, len(t.pump.Free))
		if len(batch) == 0 {
			return nil
		}
		reqs = reqs[:0]
		for _, b := range batch {
			if len(t.pump.Free) == 0 && len(reqs) > 0 { // a batch larger than what is free goes in parts
				if err := t.pump.Submit(reqs); err != nil {
					return err
				}
				reqs = reqs[:0]
			}
			req, err := t.pump.Get()
			if err != nil {
				return errors.Join(err, t.pump.Submit(reqs))
			}
			t.prepare(req, b)
			reqs = append(reqs, req)
		}
		if err := t.pump.Submit(reqs); err != nil {
			return err
		}
		if err := t.after(len(batch)); err != nil {
			return err
		}
	}
}

// prepare makes a request of what the generator wants.
func (t *thread) prepare(req *ext4.Request, b Request) {
	req.File, req.Off, req.Op = t.r.files[b.Context], b.Off, ext4.OpRead
	if !b.Read {
		req.Op = ext4.OpWrite
		if t.r.stamps != nil {
			t.r.stamps.fill(req.Buf, b.Off)
		}
	}
	req.User.(*inFlight).start = time.Now()
}

// after does what is due after n more requests.
func (t *thread) after(n int) error {
	if t.r.side != nil {
		t.r.side.tick(n)
	}
	if t.since += n; t.r.job.options.SyncEvery > 0 && t.since >= t.r.job.options.SyncEvery {
		t.since = 0
		if err := t.pump.Drain(); err != nil {
			return err
		}
		return t.r.files[0].Sync()
	}
	return nil
}

// done counts a request that came back.
func (t *thread) done(req *ext4.Request) {
	t.lat.add(time.Since(req.User.(*inFlight).start))
	t.r.ios.Add(1)
	t.r.bytes.Add(int64(req.N))
	if req.Op == ext4.OpWrite && t.r.stamps != nil {
		t.r.stamps.written(req.Off, req.N)
	}
	if t.progress != nil {
		t.progress(t.r.bytes.Load())
	}
}
