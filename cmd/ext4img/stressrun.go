package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ext4img/aio"
	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

// stressRun is a job at work.
type stressRun struct {
	c      *cli.Context
	img    *image
	name   string
	job    *stressJob
	files  []*ext4.File
	stamps *stamps // nil without --verify
	side   *sideJobs
	lat    latencies
	units  int64 // verified
	ios    atomic.Int64
	bytes  atomic.Int64
}

func newStressRun(c *cli.Context, img *image, name string, job *stressJob) (*stressRun, error) {
	r := &stressRun{c: c, img: img, name: name, job: job}
	var err error
	if c.Bool("verify") {
		if job.record%stampUnit != 0 {
			return nil, fmt.Errorf("verify: block size %d: must be a multiple of %d", job.record, stampUnit)
		}
		if r.stamps, err = newStamps(job.size, c.Uint64("seed")); err != nil {
			return nil, err
		}
	}
	if r.files, err = openAll(img, name, job.files); err != nil {
		return nil, errors.Join(err, r.close())
	}
	if r.stamps != nil {
		info, err := r.files[0].Stat()
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
		r.stamps.fresh = info.Size() == 0
	}
	if r.side = newSideJobs(c, r.files[0], job.size); r.side != nil && r.stamps != nil {
		r.stamps.loose = true
	}
	return r, nil
}

// run does everything up to the final sync.
func (r *stressRun) run() error {
	var wg sync.WaitGroup
	errs := make([]error, len(r.job.gens)+1)
	threads := make([]*stressThread, len(r.job.gens))
	bar := newProgress(r.c, "stress", r.job.bytes)
	for i, g := range r.job.gens {
		threads[i] = &stressThread{r: r, gen: g}
		if i == 0 {
			threads[i].bar = bar
		}
		wg.Go(func() { errs[i] = threads[i].run() })
	}
	wg.Wait()
	bar.end()
	for _, t := range threads {
		r.lat.merge(&t.lat)
	}
	if r.side != nil {
		errs[len(errs)-1] = r.side.stop()
	}
	if r.job.sync {
		errs = append(errs, r.files[0].Sync())
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *stressRun) verify() (err error) {
	r.units, err = r.stamps.verify(r.files[0], r.job.size)
	return err
}

func (r *stressRun) close() (err error) {
	for _, f := range r.files {
		if e := f.Close(); err == nil {
			err = e
		}
	}
	return err
}

// stressThread drives one generator through its own queue.
type stressThread struct {
	r     *stressRun
	gen   generator
	pump  *pump
	bar   *progress // of the first thread only
	lat   latencies
	since int // requests since the last sync
}

// inFlight is what a request carries.
type inFlight struct {
	start time.Time
}

func (t *stressThread) run() (err error) {
	job := t.r.job
	t.pump, err = newPump(t.r.c.Context, t.r.img.fs, job.depth, int(job.record), max(t.r.img.dev.Align(), 4096))
	if err != nil {
		return err
	}
	t.pump.done = t.done
	if t.r.side != nil { // they may fill the file system: what xfstests generic/299 allows
		t.pump.forgive = syscall.ENOSPC
	}
	for _, req := range t.pump.free {
		req.User = &inFlight{}
		if _, err := rand.Read(req.Buf); err != nil {
			return errors.Join(err, t.pump.close())
		}
	}
	for more := true; more && err == nil; more = err == nil && t.gen.restart() {
		err = t.stage()
		if e := t.pump.drain(); err == nil {
			err = e
		}
		if err == nil && job.sync {
			err = t.r.files[0].Sync()
		}
	}
	if e := t.pump.close(); err == nil {
		err = e
	}
	return err
}

// stage sends batch after batch until the generator has no more.
func (t *stressThread) stage() error {
	var batch []request
	var reqs []*ext4.Request
	for {
		if len(t.pump.free) == 0 {
			if err := t.pump.reap(1); err != nil {
				return err
			}
		}
		batch = t.gen.next(batch, len(t.pump.free))
		if len(batch) == 0 {
			return nil
		}
		reqs = reqs[:0]
		for _, b := range batch {
			if len(t.pump.free) == 0 && len(reqs) > 0 { // a batch larger than what is free goes in parts
				if err := t.pump.submit(reqs); err != nil {
					return err
				}
				reqs = reqs[:0]
			}
			req, err := t.pump.get()
			if err != nil {
				return errors.Join(err, t.pump.submit(reqs))
			}
			t.prepare(req, b)
			reqs = append(reqs, req)
		}
		if err := t.pump.submit(reqs); err != nil {
			return err
		}
		if err := t.after(len(batch)); err != nil {
			return err
		}
	}
}

// prepare makes a request of what the generator wants.
func (t *stressThread) prepare(req *ext4.Request, b request) {
	req.File, req.Off, req.Op = t.r.files[b.context], b.off, ext4.OpRead
	if !b.read {
		req.Op = ext4.OpWrite
		if t.r.stamps != nil {
			t.r.stamps.fill(req.Buf, b.off)
		}
	}
	req.User.(*inFlight).start = time.Now()
}

// after does what is due after n more requests.
func (t *stressThread) after(n int) error {
	if t.r.side != nil {
		t.r.side.tick(n)
	}
	if t.since += n; t.r.job.every > 0 && t.since >= t.r.job.every {
		t.since = 0
		if err := t.pump.drain(); err != nil {
			return err
		}
		return t.r.files[0].Sync()
	}
	return nil
}

// done counts a request that came back.
func (t *stressThread) done(req *ext4.Request) {
	t.lat.add(time.Since(req.User.(*inFlight).start))
	t.r.ios.Add(1)
	t.r.bytes.Add(int64(req.N))
	if req.Op == ext4.OpWrite && t.r.stamps != nil {
		t.r.stamps.written(req.Off, req.N)
	}
	if t.bar != nil {
		t.bar.set(t.r.bytes.Load())
	}
}

// stressResult is the JSON of stress.
type stressResult struct {
	IOs               int64     `json:"ios"`
	Bytes             int64     `json:"bytes"`
	Seconds           float64   `json:"seconds"`
	IOPS              float64   `json:"iops"`
	Latency           latencyUS `json:"lat_us"`
	Engine            string    `json:"engine"`
	IODepth           int       `json:"iodepth"`
	UnwrittenWrites   uint64    `json:"unwritten_writes"`
	Conversions       uint64    `json:"conversions"`
	ConversionBatches uint64    `json:"conversion_batches"`
	Commits           uint64    `json:"commits"`
	MaxRSS            int64     `json:"max_rss_bytes"`
	Verified          int64     `json:"verified_bytes,omitempty"`
	SideJobs          int64     `json:"side_jobs,omitempty"`
}

func (r *stressRun) report(before ext4.Stats, took time.Duration) error {
	s := r.img.fs.Stats()
	res := stressResult{
		IOs: r.ios.Load(), Bytes: r.bytes.Load(), Seconds: took.Seconds(), IOPS: float64(r.ios.Load()) / took.Seconds(),
		Latency: r.lat.summary(), Engine: aio.Describe(r.img.dev).Engine, IODepth: r.job.depth * len(r.job.gens),
		UnwrittenWrites: s.UnwrittenWrites - before.UnwrittenWrites, Conversions: s.Conversions - before.Conversions,
		ConversionBatches: s.ConversionBatches - before.ConversionBatches, Commits: commits(s) - commits(before),
		MaxRSS: maxRSS(), Verified: r.units * stampUnit,
	}
	if r.side != nil {
		res.SideJobs = r.side.count.Load()
	}
	if r.c.Bool("json") {
		return printJSON(r.c, res)
	}
	say(r.c, "%d requests, %d bytes in %.2f s: %.0f/s, %s/s (%s, depth %d)\n", res.IOs, res.Bytes, res.Seconds, res.IOPS, rate(res.Bytes, took), res.Engine, res.IODepth)
	say(r.c, "latency us: p50 %.0f, p99 %.0f, p99.9 %.0f, max %.0f\n", res.Latency.P50, res.Latency.P99, res.Latency.P999, res.Latency.Max)
	say(r.c, "%d writes into unwritten blocks, %d conversions in %d batches, %d commits\n", res.UnwrittenWrites, res.Conversions, res.ConversionBatches, res.Commits)
	if r.side != nil {
		say(r.c, "%d truncates, punches and preallocations at the same time\n", res.SideJobs)
	}
	if r.stamps != nil {
		say(r.c, "verified: %d bytes\n", res.Verified)
	}
	return nil
}
