//go:build linux

// Command aio compares the queues of package aio with fio: same file, engine, block size and depth, direct I/O, in
// alternating pairs. It prints a table of medians.
//
//	go run ./scripts/bench/aio [-dir DIR] [-pairs 5] [-seconds 2] [-engines io_uring,libaio] [-only PATTERN]
//
// # What mattered
//
// Found with this benchmark, perf and strace on a virtual disk:
//
//   - Starting an idle disk early. One io_uring_enter with 16 reads starts none before all are prepared. If the disk has
//     completed the 16 before all at once, it waits meanwhile. Calls with one or two requests start it early: ramp in
//     package aio.
//   - Yielding to the scheduler. If a goroutine waits only in system calls, and never in Go, then after 10 ms sysmon takes
//     its P away at every tick. At depth 1 the futex calls and the running sysmon then dominate every profile. A Gosched
//     every few milliseconds avoids it: yielder in package aio.
//   - One system call to submit and wait, for which completions wait in the kernel (Pin): at depth 1 this halves the
//     number of system calls.
//   - Reaping several at a time. At depth 128 a caller that asks Reap for a quarter of the depth needs some twenty times
//     fewer system calls than requests, little more than half of fio's CPU time, and loses nothing.
//   - Huge pages, for large blocks. 1 MiB in pages of 4 KiB is 256 segments, more than a virtual disk takes in one request,
//     and each is mapped by itself. In huge pages it is one segment: Arena in package aio.
//   - Registered buffers, for large blocks. At 1 MiB, without them, pinning the pages for each request leads the profile.
package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const fileSize = 1 << 30

// A load is one line of the table.
type load struct {
	Engine  string
	RW      string // as fio's --rw
	Block   int
	Depth   int
	Seconds float64
	Path    string
	Pin     bool // the queue is used by one thread only
}

func (l load) String() string {
	return fmt.Sprintf("%s %s %s qd%d", l.Engine, l.RW, size(l.Block), l.Depth)
}

func size(n int) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%dM", n>>20)
	}
	return fmt.Sprintf("%dk", n>>10)
}

// A result is one run of one program.
type result struct {
	IOPS   float64 // per second
	CPU    float64 // microseconds of user and system time per I/O
	RSS    float64 // MiB, the largest
	Allocs float64 // per I/O
}

func main() {
	var (
		dir     = flag.String("dir", os.TempDir(), "where to make the file of 1 GiB: on a disk")
		pairs   = flag.Int("pairs", 5, "runs of each program per line")
		seconds = flag.Float64("seconds", 2, "length of one run")
		engines = flag.String("engines", "io_uring,libaio", "engines to compare")
		only    = flag.String("only", ".", "run the lines that match this regular expression")
		pin     = flag.Bool("pin", true, "lock the goroutine of the queue to its thread (aio.Pin)")
		worker  = flag.String("worker", "", "run this load (JSON) in this process and print its result; for the program itself")
	)
	flag.Parse()
	if err := run(*dir, *pairs, *seconds, *engines, *only, *worker, *pin); err != nil {
		fmt.Fprintln(os.Stderr, "bench aio:", err)
		os.Exit(1)
	}
}

func run(dir string, pairs int, seconds float64, engines, only, worker string, pin bool) error {
	if worker != "" {
		return work(worker)
	}
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, fmt.Sprintf("bench-aio-%d", os.Getpid()))
	defer os.Remove(path)
	if err := makeFile(path); err != nil {
		return err
	}
	fmt.Printf("%-30s %9s %9s %6s %9s %9s %6s %6s %7s\n", "", "fio/s", "ours/s", "ratio", "fio us", "ours us", "ratio", "MiB", "allocs")
	for _, l := range loads(strings.Split(engines, ",")) {
		l.Seconds, l.Path, l.Pin = seconds, path, pin
		if !match.MatchString(l.String()) {
			continue
		}
		if err := compare(l, pairs); err != nil {
			return fmt.Errorf("%s: %w", l, err)
		}
	}
	return nil
}

func loads(engines []string) []load {
	var ls []load
	for _, e := range engines {
		for _, rw := range []string{"randwrite", "randread"} {
			for _, depth := range []int{1, 16, 32, 128} {
				ls = append(ls, load{Engine: e, RW: rw, Block: 4 << 10, Depth: depth})
			}
		}
		for _, block := range []int{64 << 10, 1 << 20} {
			for _, rw := range []string{"write", "read"} {
				ls = append(ls, load{Engine: e, RW: rw, Block: block, Depth: 16})
			}
		}
	}
	return ls
}

// compare runs both programs in turn, with changing order, and prints the medians.
func compare(l load, pairs int) error {
	var fio, ours []result
	for i := range pairs {
		for j := range 2 {
			var r result
			var err error
			if (i+j)%2 == 0 {
				r, err = runFio(l)
				fio = append(fio, r)
			} else {
				r, err = runOurs(l)
				ours = append(ours, r)
			}
			if err != nil {
				return err
			}
		}
	}
	iops := func(r result) float64 { return r.IOPS }
	cpu := func(r result) float64 { return r.CPU }
	var ratios []float64
	for i := range fio {
		ratios = append(ratios, ours[i].IOPS/fio[i].IOPS)
	}
	fmt.Printf("%-30s %9.0f %9.0f %6.2f %9.2f %9.2f %6.2f %6.1f %7.4f\n", l, medianOf(fio, iops), medianOf(ours, iops), median(ratios),
		medianOf(fio, cpu), medianOf(ours, cpu), medianOf(ours, cpu)/medianOf(fio, cpu),
		medianOf(ours, func(r result) float64 { return r.RSS }), medianOf(ours, func(r result) float64 { return r.Allocs }))
	return nil
}

func medianOf(rs []result, what func(result) float64) float64 {
	var v []float64
	for _, r := range rs {
		v = append(v, what(r))
	}
	return median(v)
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.SortFunc(v, cmp.Compare[float64])
	return v[len(v)/2]
}

func runFio(l load) (result, error) {
	out, err := exec.Command("fio", "--name=x", "--filename="+l.Path, "--ioengine="+l.Engine, "--direct=1", fmt.Sprintf("--bs=%d", l.Block),
		fmt.Sprintf("--iodepth=%d", l.Depth), "--rw="+l.RW, fmt.Sprintf("--size=%d", fileSize), fmt.Sprintf("--runtime=%g", l.Seconds),
		"--time_based", "--norandommap", "--randrepeat=0", "--fallocate=none", "--output-format=json").Output()
	if err != nil {
		return result{}, fmt.Errorf("fio: %w", err)
	}
	type direction struct{ IOPS float64 }
	var report struct {
		Jobs []struct {
			Read, Write direction
			Usr         float64 `json:"usr_cpu"`
			Sys         float64 `json:"sys_cpu"`
		}
	}
	if err := json.Unmarshal(out, &report); err != nil || len(report.Jobs) != 1 {
		return result{}, fmt.Errorf("fio's report: %v", err)
	}
	j := report.Jobs[0]
	iops := j.Read.IOPS + j.Write.IOPS
	return result{IOPS: iops, CPU: (j.Usr + j.Sys) / 100 * 1e6 / iops}, nil
}

func runOurs(l load) (result, error) {
	self, err := os.Executable()
	if err != nil {
		return result{}, err
	}
	arg, err := json.Marshal(l)
	if err != nil {
		return result{}, err
	}
	cmd := exec.Command(self, "-worker", string(arg))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return result{}, err
	}
	var r result
	return r, json.Unmarshal(out, &r)
}

// makeFile preallocates the file and writes it once.
func makeFile(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := preallocate(f, fileSize); err != nil {
		return err
	}
	p := make([]byte, 1<<20)
	for i := range p {
		p[i] = byte(i * 7)
	}
	for off := int64(0); off < fileSize; off += int64(len(p)) {
		if _, err := f.WriteAt(p, off); err != nil {
			return err
		}
	}
	return f.Sync()
}
