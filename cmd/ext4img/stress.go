package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

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
		Action: stress,
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
	if _, unit := splitUnit(text); unit == "" {
		u.n *= u.unit
	}
	return nil
}

func unitFlag(def, unit int64, usage, name string) cli.Flag {
	return &cli.GenericFlag{Name: name, Usage: usage, Value: &unitSize{size{n: def}, unit}}
}

// stressJob is one run.
type stressJob struct {
	gens   []generator
	size   int64 // of the range
	record int64
	files  int   // open files
	depth  int   // of each thread's queue
	sync   bool  // between stages and at the end
	every  int   // sync after so many requests; 0: never
	bytes  int64 // expected; -1: not known
}

func stress(c *cli.Context) error {
	if err := need(c, 2, 2); err != nil {
		return err
	}
	name, err := pathArg(c)
	if err != nil {
		return err
	}
	if err := checkQueueFlags(c); err != nil {
		return err
	}
	return withImage(c, writing, func(img *image) error {
		job, err := planJob(c, img, name)
		if err != nil {
			return usagef(c, "%v", err)
		}
		start := time.Now()
		before := img.fs.Stats()
		run, err := newStressRun(c, img, name, job)
		if err != nil {
			return opError(c, name, err)
		}
		err = run.run()
		took := time.Since(start)
		if err == nil && run.stamps != nil && c.Context.Err() == nil {
			err = run.verify()
		}
		if e := run.close(); err == nil {
			err = e
		}
		if err == nil && c.Bool("u") {
			err = img.fs.Unlink(name)
		}
		if err != nil {
			return opError(c, name, err)
		}
		return run.report(before, took)
	})
}

// planJob makes the job that the flags ask for.
func planJob(c *cli.Context, img *image, name string) (*stressJob, error) {
	if c.IsSet("rw") {
		return planIO(c, img, name)
	}
	unit := func(name string) int64 { return c.Generic(name).(*unitSize).n }
	p := stressPlan{
		size: unit("s"), record: unit("r"), contexts: c.Int("c"), offset: unit("C"),
		iter: min(c.Int("i"), c.Int("d")), batch: c.Int("b"), batches: c.Int("I"),
	}
	for _, s := range c.IntSlice("o") {
		if s < 0 || s >= int(lastStage) {
			return nil, fmt.Errorf("stage %d: must be 0 to 3", s)
		}
		p.stages |= 1 << s
	}
	threads := c.Int("t")
	switch {
	case p.record < 1 || p.record > 1<<28 || p.contexts < 1 || p.iter < 1 || threads < 1 || p.batch < 0:
		return nil, errors.New("record size, contexts, depth, requests of a turn and threads must be more than 0")
	case p.size < int64(p.contexts)*p.offset || p.size < p.record:
		return nil, fmt.Errorf("size %s: too small for %d contexts", shortSize(p.size), p.contexts)
	case p.offset > 0 && p.size-2*int64(p.contexts-1)*p.offset < p.record:
		return nil, fmt.Errorf("size %s: nothing is left for the last of %d contexts", shortSize(p.size), p.contexts)
	}
	threads = min(threads, p.contexts)
	job := &stressJob{
		size: p.size, record: p.record, files: p.contexts, bytes: -1, sync: !c.Bool("n"), every: c.Int("fsync-every"),
		depth: c.Int("d") * ((p.contexts + threads - 1) / threads),
	}
	if c.Bool("S") {
		job.every = 1
	}
	for _, g := range newStressGens(p, threads) {
		job.gens = append(job.gens, g)
	}
	return job, nil
}

// planIO is planJob for --rw.
func planIO(c *cli.Context, img *image, name string) (*stressJob, error) {
	p := ioPlan{rw: c.String("rw"), runtime: c.Duration("runtime"), seed: c.Uint64("seed")}
	p.bs, _ = sizeOf(c, "bs")
	p.size, _ = sizeOf(c, "size")
	p.ioSize, _ = sizeOf(c, "io-size")
	if p.size == 0 {
		info, err := img.fs.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errors.New("--size must be given for a file that does not exist")
		}
		if err != nil {
			return nil, err
		}
		p.size = info.Size()
	}
	if p.ioSize == 0 {
		p.ioSize = p.size
	}
	g, err := newIOGen(p)
	if err != nil {
		return nil, err
	}
	job := &stressJob{
		gens: []generator{g}, size: p.size, record: p.bs, files: 1, depth: c.Int("iodepth"), sync: !c.Bool("n"),
		every: c.Int("fsync-every"), bytes: p.ioSize,
	}
	if p.runtime > 0 {
		job.bytes = -1
	}
	return job, nil
}

// openAll opens the file once for each context, creating it if it is missing.
func openAll(img *image, name string, n int) (files []*ext4.File, err error) {
	for range n {
		f, err := img.fs.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	return files, nil
}
