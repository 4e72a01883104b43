package main

import (
	"time"

	"ext4img/aio"
	"ext4img/ext4"

	"github.com/urfave/cli/v2"
)

func writeCommand() *cli.Command {
	return &cli.Command{
		Name:      "write",
		Usage:     "copy data into a file with asynchronous direct writes",
		ArgsUsage: "IMAGE PATH",
		Description: example("The file is created and extended as needed, never cut. LIST has one \"OFFSET LENGTH\" in bytes\n"+
			"per line: only those ranges of FILE are written, each at its own offset.",
			"ext4img write --from data.bin --iodepth 64 disk.img /data",
			"ext4img write --from base.raw --ranges delta.txt disk.img /vm.raw"),
		Flags: append(queueFlags(),
			&cli.StringFlag{Name: "from", Value: "-", Usage: "read `FILE`; - is standard input"},
			sizeFlag(0, "write at byte `OFF` of the file", "offset"),
			&cli.StringFlag{Name: "ranges", Usage: "write only the ranges in `LIST`"},
			sizeFlag(1<<20, "size of one write", "bs"),
			&cli.BoolFlag{Name: "no-sync", Usage: "do not sync at the end"},
			jsonFlag()),
		Action: action(parseWrite, write),
	}
}

// writeResult is the JSON of write.
type writeResult struct {
	Bytes             int64   `json:"bytes"`
	Seconds           float64 `json:"seconds"`
	Engine            string  `json:"engine"`
	IODepth           int     `json:"iodepth"`
	Writes            uint64  `json:"writes"`
	UnwrittenWrites   uint64  `json:"unwritten_writes"`
	Conversions       uint64  `json:"conversions"`
	ConversionBatches uint64  `json:"conversion_batches"`
	Commits           uint64  `json:"commits"`
}

// writeOptions are the flags and arguments of write.
type writeOptions struct {
	image, path  string
	queue        queueOptions
	from, ranges string // files; "-": standard input; "": no ranges
	hasRanges    bool
	offset       int64
	noSync, json bool
}

func parseWrite(c *cli.Context) (o writeOptions, err error) {
	if o.image, o.path, err = parsePath(c, 2); err != nil {
		return o, err
	}
	if o.queue, err = parseQueue(c); err != nil {
		return o, err
	}
	o.from, o.ranges, o.hasRanges = c.String("from"), c.String("ranges"), c.IsSet("ranges")
	o.offset, _ = sizeOf(c, "offset")
	o.noSync, o.json = c.Bool("no-sync"), c.Bool("json")
	return o, nil
}

func write(e *env, o writeOptions) error {
	src, err := openSource(e, o)
	if err != nil {
		return opError(e, o.from, err)
	}
	defer src.close()
	return withImage(e, o.image, writing, func(img *image) error {
		f, undo, err := img.target(o.path, true, src.offset, src.room())
		if err != nil {
			return opError(e, o.path, err)
		}
		start := time.Now()
		before := img.fs.Stats()
		n, err := writeAll(e, img, f, src, o.queue)
		if e := finishWriting(f, !o.noSync); err == nil {
			err = e
		}
		if err != nil {
			undo()
			return opError(e, o.path, err)
		}
		return reportWrite(e, o, img, before, n, time.Since(start))
	})
}

func reportWrite(e *env, o writeOptions, img *image, before ext4.Stats, n int64, took time.Duration) error {
	s := img.fs.Stats()
	r := writeResult{
		Bytes: n, Seconds: took.Seconds(), Engine: aio.Describe(img.dev).Engine, IODepth: o.queue.depth,
		Writes: s.Writes - before.Writes, UnwrittenWrites: s.UnwrittenWrites - before.UnwrittenWrites,
		Conversions: s.Conversions - before.Conversions, ConversionBatches: s.ConversionBatches - before.ConversionBatches,
		Commits: commits(s) - commits(before),
	}
	if o.json {
		return printJSON(e, r)
	}
	say(e, "%d bytes in %.2f s, %s/s; %d writes, %d into unwritten blocks, %d conversions in %d batches, %d commits (%s, depth %d)\n",
		r.Bytes, r.Seconds, rate(r.Bytes, took), r.Writes, r.UnwrittenWrites, r.Conversions, r.ConversionBatches, r.Commits, r.Engine, r.IODepth)
	return nil
}
