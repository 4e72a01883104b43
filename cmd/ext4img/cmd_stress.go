package main

import (
	"time"

	"ext4img/aio"
	"ext4img/cmd/ext4img/internal/sizes"
	"ext4img/cmd/ext4img/internal/stress"
	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

func stressCommand() *cli.Command {
	return &cli.Command{
		Name:      "stress",
		Aliases:   []string{"aio-stress"},
		Usage:     "generate asynchronous direct I/O on a file, as aio-stress does",
		ArgsUsage: "IMAGE PATH",
		Description: example("Short flags mean what those of aio-stress mean, and make the same requests in the same order; sizes\n"+
			"without a unit are MiB for -s and -C, KiB for -r. With --rw, requests are as fio's.",
			"ext4img stress -I 100000 -O -s 100m -n -t 1 -c 10 -o 2 -o 3 disk.img /data",
			"ext4img stress --rw randwrite --bs 4K --iodepth 32 --size 1G --verify disk.img /data"),
		Flags:  append(append(aioStressFlags(), fioFlags()...), jsonFlag()),
		Action: action(parseStress, stressFile),
	}
}

// aioStressFlags are aio-stress's own.
func aioStressFlags() []cli.Flag {
	const mib, kib = 1 << 20, 1 << 10
	return []cli.Flag{
		unitFlag(1024*mib, mib, "`SIZE` of the range of the file to use", "s"),
		unitFlag(64*kib, kib, "record `SIZE`", "r"),
		unitFlag(0, 1, "buffer alignment; buffers are always aligned", "a"),
		&cli.IntFlag{Name: "b", Usage: "at most `N` requests at a time are submitted"},
		&cli.IntFlag{Name: "c", Value: 1, Usage: "`N` I/O contexts"},
		unitFlag(2*mib, mib, "offset `SIZE` between contexts", "C"),
		&cli.IntFlag{Name: "d", Value: 64, Usage: "`N` requests in flight for each context"},
		&cli.IntFlag{Name: "i", Value: 8, Usage: "`N` requests of one context before the next"},
		&cli.IntFlag{Name: "I", Usage: "at most `N` batches in a stage"},
		&cli.IntSliceFlag{Name: "o", Usage: "stage `N`: 0 write, 1 read, 2 random write, 3 random read; again for more"},
		&cli.IntFlag{Name: "t", Value: 1, Usage: "`N` threads"},
		&cli.BoolFlag{Name: "n", Usage: "no sync between stages and at the end"},
		&cli.BoolFlag{Name: "O", Usage: "direct I/O: always"},
		&cli.BoolFlag{Name: "S", Usage: "sync after each batch"},
		&cli.BoolFlag{Name: "l", Usage: "latencies of submission: always measured"},
		&cli.BoolFlag{Name: "L", Usage: "latencies of completion: always measured"},
		&cli.BoolFlag{Name: "u", Usage: "remove the file at the end"},
		&cli.BoolFlag{Name: "x", Usage: "threads do not wait for each other: never"},
		&cli.StringFlag{Name: "m", Usage: "`KIND` of buffer memory: ignored", Hidden: true},
	}
}

// fioFlags stand beside them.
func fioFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "rw", Usage: "randwrite, write, randread, read or randrw"},
		sizeFlag(4<<10, "block size of --rw", "bs"),
		sizeFlag(0, "`SIZE` of the range of the file (default: the file's)", "size"),
		sizeFlag(0, "`BYTES` to transfer (default: the size)", "io-size"),
		&cli.DurationFlag{Name: "runtime", Usage: "go on for this `TIME`"},
		&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "of the random numbers"},
		&cli.IntFlag{Name: "iodepth", Value: 32, Usage: "`N` requests in flight, with --rw"},
		&cli.StringFlag{Name: "engine", Value: "auto", Usage: "auto, io_uring, libaio or sync"},
		&cli.IntFlag{Name: "fsync-every", Usage: "sync after each `N` requests"},
		&cli.IntFlag{Name: "truncate-every", Usage: "truncate to a random size each `N` requests, at the same time"},
		&cli.IntFlag{Name: "punch-every", Usage: "punch a random hole each `N` requests, at the same time"},
		&cli.IntFlag{Name: "fallocate-every", Usage: "preallocate a random range each `N` requests, at the same time"},
		&cli.BoolFlag{Name: "verify", Aliases: []string{"v"}, Usage: "stamp what is written, read all of it back"},
	}
}

// unitSize is a size whose unit may be left out.
type unitSize struct {
	size
	unit int64
}

func (u *unitSize) Set(text string) error {
	if err := u.size.Set(text); err != nil {
		return err
	}
	if _, unit := sizes.Split(text); unit == "" {
		u.n *= u.unit
	}
	return nil
}

func unitFlag(def, unit int64, usage, name string) cli.Flag {
	return &cli.GenericFlag{Name: name, Usage: usage, Value: &unitSize{size{n: def}, unit}}
}

// stressResult is the JSON of stress.
type stressResult struct {
	IOs               int64          `json:"ios"`
	Bytes             int64          `json:"bytes"`
	Seconds           float64        `json:"seconds"`
	IOPS              float64        `json:"iops"`
	Latency           stress.Latency `json:"lat_us"`
	Engine            string         `json:"engine"`
	IODepth           int            `json:"iodepth"`
	UnwrittenWrites   uint64         `json:"unwritten_writes"`
	Conversions       uint64         `json:"conversions"`
	ConversionBatches uint64         `json:"conversion_batches"`
	Commits           uint64         `json:"commits"`
	MaxRSS            int64          `json:"max_rss_bytes"`
	Verified          int64          `json:"verified_bytes,omitempty"`
	SideJobs          int64          `json:"side_jobs,omitempty"`
}

// stressOptions are the flags and arguments of stress.
type stressOptions struct {
	stress.Options
	image, path  string
	remove, json bool
}

func parseStress(c *cli.Context) (o stressOptions, err error) {
	if o.image, o.path, err = parsePath(c, 2); err != nil {
		return o, err
	}
	queue, err := parseQueue(c)
	if err != nil {
		return o, err
	}
	o.remove, o.json = c.Bool("u"), c.Bool("json")
	unit := func(name string) int64 { return c.Generic(name).(*unitSize).n }
	o.Options = stress.Options{
		Plan: stress.Plan{
			Size: unit("s"), Record: unit("r"), Contexts: c.Int("c"), Offset: unit("C"),
			Iter: c.Int("i"), Batch: c.Int("b"), Batches: c.Int("I"),
		},
		Stages: c.IntSlice("o"), Depth: c.Int("d"), Threads: c.Int("t"), NoSync: c.Bool("n"), SyncEvery: c.Int("fsync-every"),
		Verify: c.Bool("verify"), Seed: c.Uint64("seed"),
		TruncateEvery: c.Int("truncate-every"), PunchEvery: c.Int("punch-every"), FallocateEvery: c.Int("fallocate-every"),
	}
	if c.IsSet("rw") {
		o.Depth = queue.depth
		o.FIO = &stress.FIOPlan{RW: c.String("rw"), BS: queue.bs, Runtime: c.Duration("runtime"), Seed: o.Seed}
		o.FIO.Size, _ = sizeOf(c, "size")
		o.FIO.IOSize, _ = sizeOf(c, "io-size")
	} else if c.Bool("S") {
		o.SyncEvery = 1
	}
	return o, nil
}

func stressFile(e *env, o stressOptions) error {
	return withImage(e, o.image, writing, func(img *image) error {
		job, err := stress.NewJob(img.fs, o.path, o.Options)
		if err != nil {
			return e.usagef("%v", err)
		}
		bar := newProgress(e, "stress", job.Bytes)
		job.Progress = bar.set
		start := time.Now()
		before := img.fs.Stats()
		run, err := job.Open(e.ctx, img.fs, max(img.dev.Align(), 4096), o.path)
		if err != nil {
			return opError(e, o.path, err)
		}
		err = run.Do()
		bar.end()
		took := time.Since(start)
		if err == nil && e.ctx.Err() == nil {
			err = run.Verify()
		}
		if e := run.Close(); err == nil {
			err = e
		}
		if err == nil && o.remove {
			err = img.fs.Unlink(o.path)
		}
		if err != nil {
			return opError(e, o.path, err)
		}
		return reportStress(e, o, img, before, run.Result(), took)
	})
}

func reportStress(e *env, o stressOptions, img *image, before ext4.Stats, r stress.Result, took time.Duration) error {
	s := img.fs.Stats()
	res := stressResult{
		IOs: r.IOs, Bytes: r.Bytes, Seconds: took.Seconds(), IOPS: float64(r.IOs) / took.Seconds(),
		Latency: r.Latency, Engine: aio.Describe(img.dev).Engine, IODepth: r.Depth,
		UnwrittenWrites: s.UnwrittenWrites - before.UnwrittenWrites, Conversions: s.Conversions - before.Conversions,
		ConversionBatches: s.ConversionBatches - before.ConversionBatches, Commits: commits(s) - commits(before),
		MaxRSS: r.MaxRSS, Verified: r.Verified, SideJobs: max(r.SideJobs, 0),
	}
	if o.json {
		return printJSON(e, res)
	}
	say(e, "%d requests, %d bytes in %.2f s: %.0f/s, %s/s (%s, depth %d)\n", res.IOs, res.Bytes, res.Seconds, res.IOPS, rate(res.Bytes, took), res.Engine, res.IODepth)
	say(e, "latency us: p50 %.0f, p99 %.0f, p99.9 %.0f, max %.0f\n", res.Latency.P50, res.Latency.P99, res.Latency.P999, res.Latency.Max)
	say(e, "%d writes into unwritten blocks, %d conversions in %d batches, %d commits\n", res.UnwrittenWrites, res.Conversions, res.ConversionBatches, res.Commits)
	if r.SideJobs >= 0 {
		say(e, "%d truncates, punches and preallocations at the same time\n", res.SideJobs)
	}
	if o.Verify {
		say(e, "verified: %d bytes\n", res.Verified)
	}
	return nil
}
