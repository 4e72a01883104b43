package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"ext4img/aio"
	"ext4img/cmd/ext4img/internal/pump"
	"ext4img/cmd/ext4img/internal/sizes"
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

// queueFlags say how requests go to the device.
func queueFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "iodepth", Value: 32, Usage: "`N` requests in flight"},
		&cli.StringFlag{Name: "engine", Value: aio.EngineAuto, Usage: "auto, io_uring, libaio or sync"},
	}
}

// checkQueueFlags refuses values that cannot work.
func checkQueueFlags(c *cli.Context) error {
	switch c.String("engine") {
	case aio.EngineAuto, aio.EngineIOUring, aio.EngineLibaio, aio.EngineSync:
	default:
		return usagef(c, "engine %q: must be auto, io_uring, libaio or sync", c.String("engine"))
	}
	if n := c.Int("iodepth"); n < 1 || n > 4096 {
		return usagef(c, "iodepth %d: must be 1 to 4096", n)
	}
	if n, _ := sizeOf(c, "bs"); n < 1 || n > 1<<28 {
		return usagef(c, "block size %d: must be 1 to 256M", n)
	}
	return nil
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

// finishWriting syncs, if it shall, and closes; also after a failure, for what was written stays.
func finishWriting(f *ext4.File, sync bool) (err error) {
	if sync {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
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

// source is what write reads.
type source struct {
	r      io.Reader
	file   *os.File // nil for standard input
	size   int64    // -1: not known
	offset int64    // of the first byte in the file of the image
	ranges []byteRange
}

type byteRange struct{ off, n int64 }

// room is how many bytes in one piece are going to be written, 0 if that is not known.
func (s *source) room() int64 {
	if s.ranges != nil {
		return 0
	}
	return max(s.size, 0)
}

func openSource(c *cli.Context) (*source, error) {
	off, _ := sizeOf(c, "offset")
	src := &source{r: c.App.Reader, size: -1, offset: off}
	if from := c.String("from"); from != "-" {
		f, err := os.Open(from)
		if err != nil {
			return nil, err
		}
		src.r, src.file = f, f
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			src.size = info.Size()
		}
	} else if err := checkStdin(c.App.Reader); err != nil {
		return nil, err
	}
	if c.IsSet("ranges") {
		if src.file == nil || off != 0 {
			src.close()
			return nil, usagef(c, "--ranges needs --from FILE, and has the offsets itself")
		}
		f, err := os.Open(c.String("ranges"))
		if err != nil {
			src.close()
			return nil, err
		}
		defer f.Close()
		if src.ranges, err = parseRanges(f); err != nil {
			src.close()
			return nil, fmt.Errorf("%s: %w", c.String("ranges"), err)
		}
	}
	return src, nil
}

func (s *source) close() {
	if s.file != nil {
		s.file.Close()
	}
}

// total is the number of bytes to write, -1 if it is not known.
func (s *source) total() int64 {
	if s.ranges == nil {
		return s.size
	}
	n := int64(0)
	for _, r := range s.ranges {
		n += r.n
	}
	return n
}

// parseRanges reads lines of "OFFSET LENGTH"; empty lines and those that begin with # are left out.
func parseRanges(r io.Reader) ([]byteRange, error) {
	ranges := []byteRange{}
	s := bufio.NewScanner(r)
	for line := 1; s.Scan(); line++ {
		text := strings.TrimSpace(s.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		var b byteRange
		fields := strings.Fields(text)
		var err error
		if len(fields) == 2 {
			if b.off, err = sizes.Parse(fields[0]); err == nil {
				b.n, err = sizes.Parse(fields[1])
			}
		}
		if len(fields) != 2 || err != nil || b.off > 1<<62 || b.n > 1<<62 {
			return nil, fmt.Errorf("line %d: %q: want OFFSET LENGTH", line, text)
		}
		ranges = append(ranges, b)
	}
	return ranges, s.Err()
}

// writeAll copies the source, and returns how many bytes it wrote.
func writeAll(c *cli.Context, img *image, f *ext4.File, src *source) (int64, error) {
	bs, _ := sizeOf(c, "bs")
	p, err := pump.New(c.Context, img.fs, c.Int("iodepth"), int(bs), max(img.dev.Align(), 4096))
	if err != nil {
		return 0, err
	}
	bar := newProgress(c, "write", src.total())
	w := &copier{pump: p, file: f, bs: bs, bar: bar, limit: max(1, c.Int("iodepth")/4)}
	if src.ranges == nil {
		r := src.r
		if src.size < 0 { // not a regular file: a read may block for ever
			r = newCtxReader(c.Context, r)
		}
		err = w.copy(r, src.offset)
	}
	for _, r := range src.ranges {
		if err == nil {
			err = w.copyRange(src.file, r)
		}
	}
	if e := w.flush(); err == nil {
		err = e
	}
	if e := p.Drain(); err == nil {
		err = e
	}
	bar.end()
	if e := p.Close(); err == nil {
		err = e
	}
	return w.bytes, err
}

// copier cuts what it reads into writes.
type copier struct {
	pump  *pump.Pump
	file  *ext4.File
	bs    int64
	bar   *progress
	batch []*ext4.Request
	limit int // of batch: reading goes on while the rest is in flight
	bytes int64
}

// copyRange writes one range of the source at its own offset.
func (w *copier) copyRange(src io.ReaderAt, r byteRange) error {
	before := w.bytes
	if err := w.copy(io.NewSectionReader(src, r.off, r.n), r.off); err != nil {
		return err
	}
	if got := w.bytes - before; got < r.n {
		return fmt.Errorf("range %d %d: the source ends after %d bytes of it: %w", r.off, r.n, got, io.ErrUnexpectedEOF)
	}
	return nil
}

// copy writes all of r from off on. Writes end at multiples of the block size, so that all but the first and the last are whole ones.
func (w *copier) copy(r io.Reader, off int64) error {
	for {
		if len(w.pump.Free) == 0 || len(w.batch) >= w.limit {
			if err := w.flush(); err != nil {
				return err
			}
		}
		req, err := w.pump.Get()
		if err != nil {
			return err
		}
		req.Buf = req.Buf[:w.bs-off%w.bs]
		n, err := io.ReadFull(r, req.Buf)
		if n == 0 {
			w.pump.Free = append(w.pump.Free, req)
		} else {
			req.Buf = req.Buf[:n]
			w.stage(req, off)
			off += int64(n)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// stage puts a request with data into the batch.
func (w *copier) stage(req *ext4.Request, off int64) {
	req.File, req.Op, req.Off = w.file, ext4.OpWrite, off
	w.batch = append(w.batch, req)
	w.bytes += int64(len(req.Buf))
	w.bar.add(int64(len(req.Buf)))
}

// flush submits what has been read so far.
func (w *copier) flush() error {
	batch := w.batch
	w.batch = w.batch[:0]
	if len(batch) == 0 {
		return nil
	}
	return w.pump.Submit(batch)
}
