package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ext4img/aio"
	"ext4img/cmd/ext4img/internal/pump"
	"ext4img/cmd/ext4img/internal/stress"
	"ext4img/ext4"
	"ext4img/ext4/layout"
	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

// promptly is what "truncate returns at once" means on a busy machine, under the race detector.
const promptly = 10 * time.Second

// tc1Shapes are the file systems of TestCase1: short tests take the first, long ones all.
var tc1Shapes = []struct {
	name, oracle string
	flags        []string
	long         bool
}{
	{"4k", "map-4096", []string{"-b", "4096"}, false},
	{"1k without checksums", "map-1024", []string{"-b", "1024", "-O", "^metadata_csum,^64bit"}, false},
	{"1k", "map-1024", []string{"-b", "1024"}, true},
	{"4k without checksums", "map-4096", []string{"-b", "4096", "-O", "^metadata_csum,^64bit"}, true},
	{"bigalloc", "map-4096", []string{"-b", "4096", "-O", "bigalloc", "-C", "65536"}, true},
	{"1k bigalloc", "map-1024", []string{"-b", "1024", "-O", "bigalloc", "-C", "16384"}, true},
}

// testCase1 is "-I 100000 -O -s 100m -n -t 1 -c 10 -o 2 -o 3".
var testCase1 = stress.Plan{
	Size: 100 << 20, Record: 64 << 10, Contexts: 10, Offset: 2 << 20, Iter: 8, Batches: 100000,
	Stages: 1<<2 | 1<<3,
}

func long() bool { return effort.Long() }

// TestCase1 is the patch's test case, from the command line: the file ends with exactly the kernel's map, truncate
// returns at once, e2fsck is content.
func TestCase1(t *testing.T) {
	dir := judge.Oracles(t, "tc1")
	for i, s := range tc1Shapes {
		if s.long && !long() || i > 0 && testing.Short() {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			img := newImage(t, "2G", s.flags...)
			ok(t, "fallocate -l 1G", img, "/data")
			start := time.Now()
			t.Log(ok(t, "stress -I 100000 -O -s 100m -n -t 1 -c 10 -o 2 -o 3", img, "/data"))
			wrote := time.Since(start)
			var maps []fileMap
			if err := json.Unmarshal([]byte(ok(t, "extents --json", img, "/data")), &maps); err != nil {
				t.Fatal(err)
			}
			var runs stateRuns
			for _, e := range maps[0].Extents {
				runs.add(e.Logical, e.Length, e.State)
			}
			runs.compare(t, filepath.Join(dir, s.oracle))
			fsck(t, img)
			start = time.Now()
			ok(t, "truncate -s 0", img, "/data")
			if took := time.Since(start); took > promptly {
				t.Errorf("truncate took %v", took)
			} else {
				t.Logf("stress %v, truncate %v", wrote, took)
			}
			fsck(t, img)
			ok(t, "verify", img)
		})
	}
}

// stateRuns is a block map without physical blocks, as the oracle has it: "first count state" by line.
type stateRuns []stateRun

type stateRun struct {
	first, count uint64
	state        string
}

func (r *stateRuns) add(first, count uint64, state string) {
	if k := len(*r); k > 0 {
		if last := &(*r)[k-1]; last.state == state && last.first+last.count == first {
			last.count += count
			return
		}
	}
	*r = append(*r, stateRun{first, count, state})
}

func (r stateRuns) compare(t *testing.T, oracle string) {
	t.Helper()
	want, err := os.ReadFile(oracle)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, e := range r {
		fmt.Fprintf(&got, "%d %d %s\n", e.first, e.count, e.state)
	}
	if got.String() != string(want) {
		t.Errorf("%s: the map differs, it is:\n%s", oracle, got.String())
	}
}

// TestCase1Race runs the same writes again and again in one process, with truncate in the middle of them: it waits for
// what is in flight and no longer. In the end, but in short tests, the case runs undisturbed, to the kernel's map.
func TestCase1Race(t *testing.T) {
	const seed = 286
	dir, rounds := judge.Oracles(t, "tc1"), 20
	if long() {
		rounds = 1000
	}
	path := newImage(t, "2G", "-b", "4096")
	dev, err := aio.Open(path, aio.Options{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	fs, err := ext4.Open(dev, ext4.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create("/data", ext4.Attr{Perm: 0o644})
	if err != nil {
		t.Fatal(err)
	}
	p, err := pump.New(context.Background(), fs, 640, int(testCase1.Record), 4096)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(seed, 0))
	var worst time.Duration
	for i := range rounds {
		took, err := tc1Round(f, p, rnd.IntN(4), rnd.IntN(2))
		if err != nil {
			t.Fatalf("round %d (seed %d): %v", i, seed, err)
		}
		worst = max(worst, took)
	}
	if worst > promptly {
		t.Errorf("a truncate took %v", worst)
	}
	last := -1
	if testing.Short() {
		last = 0
	}
	if err := errorsOf(f.Fallocate(0, 0, 1<<30), tc1Write(p, f, last, nil), p.Close(), f.Sync()); err != nil {
		t.Fatal(err)
	}
	var runs stateRuns
	err = f.Extents(func(e layout.Extent) bool {
		state := written
		if e.Unwritten {
			state = unwritten
		}
		runs.add(uint64(e.Lblk), uint64(e.Len), state)
		return true
	})
	if err := errorsOf(err, f.Close(), fs.Close(), dev.Close()); err != nil {
		t.Fatal(err)
	}
	if !testing.Short() {
		runs.compare(t, filepath.Join(dir, "map-4096"))
	}
	fsck(t, path)
	t.Logf("%d rounds, the longest truncate %v", rounds, worst)
}

// tc1Round preallocates, writes, and truncates to nothing after so many batches, with more to come. It returns how
// long truncate took.
func tc1Round(f *ext4.File, p *pump.Pump, before, after int) (took time.Duration, err error) {
	if err := f.Fallocate(0, 0, 1<<30); err != nil {
		return 0, err
	}
	cut := make(chan error, 1)
	truncate := func() {
		start := time.Now()
		err := f.Truncate(0)
		took = time.Since(start)
		cut <- err
	}
	err = tc1Write(p, f, before+after, func(batch int) {
		if batch == before {
			go truncate()
		}
	})
	if err := errorsOf(err, <-cut, f.Truncate(0)); err != nil {
		return took, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() != 0 {
		err = fmt.Errorf("%d bytes after truncate", info.Size())
	}
	return took, err
}

// tc1Write makes the writes of the test case, all or those of the batches 0 to last. begun is called before each batch.
func tc1Write(p *pump.Pump, f *ext4.File, last int, begun func(batch int)) error {
	g := stress.NewGenerators(testCase1, 1)[0]
	var batch []stress.Request
	for i := 0; last < 0 || i <= last; i++ {
		if batch = g.Next(batch, 0); len(batch) == 0 {
			break
		}
		if begun != nil {
			begun(i)
		}
		var reqs []*ext4.Request
		for _, b := range batch {
			r, err := p.Get()
			if err != nil {
				return err
			}
			r.File, r.Op, r.Off = f, ext4.OpWrite, b.Off
			reqs = append(reqs, r)
		}
		if err := p.Submit(reqs); err != nil {
			return err
		}
	}
	return p.Drain()
}
