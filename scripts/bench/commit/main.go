//go:build linux

// Command commit compares the commit throughput of package ext4 with the kernel's: writes of 4 KiB, each followed by
// an fsync. The kernel runs on a loop mount, with direct I/O, of the same kind of image. It prints a table with the
// ratio of the medians.
//
//	go run ./scripts/bench/commit [-dir DIR] [-n WRITES] [-rounds N]
//
// It needs root, for the loop mount. DIR should be on the disk that is to be measured.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"ext4img/aio"
	"ext4img/aio/block"
	"ext4img/ext4"
)

const (
	unit     = 4096
	fileSize = 64 << 20
)

// A file is the set of operations that both sides have.
type file interface {
	WriteAt(p []byte, off int64) (int, error)
	Sync() error
	Close() error
}

// A side opens files: our side or the kernel's.
type side interface {
	open(name string) (file, error)
	allocate(f file) error
}

// A job is the work that one writer repeats n times, with a sync after each.
type job struct {
	name    string
	writers int
	prepare func(s side, f file) error
	off     func(i int, r *rand.Rand) int64
	create  bool // a new file each time
}

func jobs() []job {
	next := func(i int, _ *rand.Rand) int64 { return int64(i) * unit }
	random := func(_ int, r *rand.Rand) int64 { return r.Int63n(fileSize/unit) * unit }
	fill := func(s side, f file) error {
		p := make([]byte, 1<<20)
		for off := int64(0); off < fileSize; off += int64(len(p)) {
			if _, err := f.WriteAt(p, off); err != nil {
				return err
			}
		}
		return f.Sync()
	}
	preallocate := func(s side, f file) error { return errors.Join(s.allocate(f), f.Sync()) }
	return []job{
		{"append", 1, nil, next, false},
		{"preallocated, in order", 1, preallocate, next, false},
		{"preallocated, random", 1, preallocate, random, false},
		{"overwrite, random", 1, fill, random, false},
		{"new files", 1, nil, func(int, *rand.Rand) int64 { return 0 }, true},
		{"append, 4 writers", 4, nil, next, false},
		{"preallocated, 4 writers", 4, preallocate, random, false},
	}
}

func main() {
	dir := flag.String("dir", os.TempDir(), "where to make the images")
	n := flag.Int("n", 400, "writes of each writer")
	rounds := flag.Int("rounds", 3, "rounds; the medians are compared")
	flag.Parse()
	if err := run(*dir, *n, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "commit:", err)
		os.Exit(1)
	}
}

func run(dir string, n, rounds int) error {
	tmp, err := os.MkdirTemp(dir, "commit")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	fmt.Printf("%-26s %12s %12s %8s\n", "fsync after each 4 KiB", "ours/s", "kernel/s", "ratio")
	for _, j := range jobs() {
		var rates [2][]float64
		for range rounds {
			for i, measure := range []func(string, job, int) (float64, error){ours, kernel} {
				image := filepath.Join(tmp, fmt.Sprintf("image%d", i))
				if err := command("mke2fs", "-q", "-F", "-t", "ext4", image, "1G"); err != nil {
					return err
				}
				rate, err := measure(image, j, n)
				if err != nil {
					return fmt.Errorf("%s: %w", j.name, err)
				}
				rates[i] = append(rates[i], rate)
				if err := os.Remove(image); err != nil {
					return err
				}
			}
		}
		a, b := median(rates[0]), median(rates[1])
		fmt.Printf("%-26s %12.0f %12.0f %8.2f\n", j.name, a, b, a/b)
	}
	return nil
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// measure runs a job and returns synced writes per second.
func measure(s side, j job, n int) (float64, error) {
	files := make([]file, j.writers)
	for i := range files {
		f, err := s.open(fmt.Sprintf("f%d", i))
		if err == nil && j.prepare != nil {
			err = j.prepare(s, f)
		}
		if err != nil {
			return 0, err
		}
		files[i] = f
	}
	errs := make([]error, j.writers)
	var all sync.WaitGroup
	start := time.Now()
	for w, f := range files {
		all.Go(func() { errs[w] = j.write(s, f, w, n) })
	}
	all.Wait()
	rate := float64(n*j.writers) / time.Since(start).Seconds()
	for _, f := range files {
		errs = append(errs, f.Close())
	}
	return rate, errors.Join(errs...)
}

func (j job) write(s side, f file, writer, n int) error {
	r := rand.New(rand.NewSource(int64(writer)))
	p := block.Aligned(unit, unit)
	for i := range n {
		p[0] = byte(i)
		to := f
		if j.create {
			var err error
			if to, err = s.open(fmt.Sprintf("new%d.%d", writer, i)); err != nil {
				return err
			}
		}
		_, err := to.WriteAt(p, j.off(i, r))
		if err = errors.Join(err, to.Sync()); err == nil && j.create {
			err = to.Close()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ourSide is package ext4.
type ourSide struct{ fs *ext4.FS }

func (s ourSide) open(name string) (file, error) {
	f, err := s.fs.OpenFile("/"+name, os.O_RDWR|os.O_CREATE, 0o644)
	return f, err
}

func (s ourSide) allocate(f file) error { return f.(*ext4.File).Fallocate(0, 0, fileSize) }

func ours(image string, j job, n int) (rate float64, err error) {
	dev, err := aio.Open(image, aio.Options{Write: true})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	fs, err := ext4.Open(dev, ext4.Options{})
	if err != nil {
		return 0, err
	}
	rate, err = measure(ourSide{fs}, j, n)
	return rate, errors.Join(err, fs.Close())
}

// kernelSide is a mounted image.
type kernelSide struct{ mnt string }

func (s kernelSide) open(name string) (file, error) {
	return os.OpenFile(filepath.Join(s.mnt, name), os.O_RDWR|os.O_CREATE, 0o644)
}

func (s kernelSide) allocate(f file) error { return preallocate(f.(*os.File), fileSize) }

func kernel(image string, j job, n int) (rate float64, err error) {
	out, err := exec.Command("losetup", "-f", "--show", "--direct-io=on", image).Output()
	if err != nil {
		return 0, fmt.Errorf("losetup: %w", err)
	}
	loop := strings.TrimSpace(string(out))
	defer func() { err = errors.Join(err, command("losetup", "-d", loop)) }()
	mnt := image + ".mnt"
	if err := os.MkdirAll(mnt, 0o755); err != nil {
		return 0, err
	}
	if err := command("mount", "-t", "ext4", loop, mnt); err != nil {
		return 0, err
	}
	rate, err = measure(kernelSide{mnt}, j, n)
	return rate, errors.Join(err, command("umount", mnt))
}
