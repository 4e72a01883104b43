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
		Action: write,
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

func write(c *cli.Context) error {
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
	src, err := openSource(c)
	if err != nil {
		return opError(c, c.String("from"), err)
	}
	defer src.close()
	return withImage(c, writing, func(img *image) error {
		f, undo, err := img.target(name, true, src.offset, src.room())
		if err != nil {
			return opError(c, name, err)
		}
		start := time.Now()
		before := img.fs.Stats()
		n, err := writeAll(c, img, f, src)
		if e := finishWriting(f, !c.Bool("no-sync")); err == nil {
			err = e
		}
		if err != nil {
			undo()
			return opError(c, name, err)
		}
		return reportWrite(c, img, before, n, time.Since(start))
	})
}

func reportWrite(c *cli.Context, img *image, before ext4.Stats, n int64, took time.Duration) error {
	s := img.fs.Stats()
	r := writeResult{
		Bytes: n, Seconds: took.Seconds(), Engine: aio.Describe(img.dev).Engine, IODepth: c.Int("iodepth"),
		Writes: s.Writes - before.Writes, UnwrittenWrites: s.UnwrittenWrites - before.UnwrittenWrites,
		Conversions: s.Conversions - before.Conversions, ConversionBatches: s.ConversionBatches - before.ConversionBatches,
		Commits: commits(s) - commits(before),
	}
	if c.Bool("json") {
		return printJSON(c, r)
	}
	say(c, "%d bytes in %.2f s, %s/s; %d writes, %d into unwritten blocks, %d conversions in %d batches, %d commits (%s, depth %d)\n",
		r.Bytes, r.Seconds, rate(r.Bytes, took), r.Writes, r.UnwrittenWrites, r.Conversions, r.ConversionBatches, r.Commits, r.Engine, r.IODepth)
	return nil
}
