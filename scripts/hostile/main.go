// Command hostile damages file systems in what they mean, not in their checksums, and lets the program loose on them.
// After each operation e2fsck may have no new kind of complaint, what debugfs could read before it can read, what was
// refused as a whole has changed nothing, and nothing took longer than ten seconds.
//
//	hostile -n 5000 -seed 1
//	hostile -only 17 -keep DIR      the same mutation again; images before and after each operation stay in DIR
//
// The images lie in a folder for temporary files ($TMPDIR); it is best in memory.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"sync"
	"time"

	"ext4img/testimages"
)

// options are the flags.
type options struct {
	pairs, each, only, jobs int
	seed                    uint64
	program, keep           string
	bases                   []string
}

func main() {
	var o options
	flag.IntVar(&o.pairs, "n", 500, "how many `pairs` of a mutation and an operation")
	flag.IntVar(&o.each, "each", 5, "how many operations on each mutation")
	flag.IntVar(&o.only, "only", -1, "the `number` of one mutation alone")
	flag.IntVar(&o.jobs, "jobs", 2, "how many at a time")
	flag.Uint64Var(&o.seed, "seed", 1, "`seed` of mutations and operations")
	flag.StringVar(&o.program, "program", "", "the `program`; it is built if there is none")
	flag.StringVar(&o.keep, "keep", "", "keep images of what is found in `folder`")
	flag.Parse()
	o.bases = bases
	found, err := hostile(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(2)
	}
	if found > 0 {
		os.Exit(1)
	}
}

// bases are the images that are damaged, and why each is there.
var bases = []string{
	"default-4k", "default-1k", // hashed directories and deep extent trees
	"ext3",                 // indirect blocks
	"nocsum",               // no checksums but those of descriptors
	"no64bit", "inode-128", // narrow descriptors and inodes
	"bigalloc", "inline", "quota", "orphan-file", "ea-inode", "meta-bg", "nojournal",
}

func hostile(o options) (int, error) {
	dir, err := os.MkdirTemp("", "hostile-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if o.program == "" {
		o.program = filepath.Join(dir, "ext4img")
		if out, err := exec.Command("go", "build", "-o", o.program, "ext4img/cmd/ext4img").CombinedOutput(); err != nil {
			return 0, fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	if err := material(filepath.Join(dir, "in")); err != nil {
		return 0, err
	}
	c := &campaign{options: o, dir: dir, begun: time.Now(), status: map[int]int{}, kinds: map[string]int{}}
	for _, name := range o.bases {
		m, err := prepare(dir, name, o.program)
		if err != nil {
			return 0, err
		}
		c.images = append(c.images, m)
	}
	numbers := make(chan int)
	var group sync.WaitGroup
	for i := range o.jobs {
		group.Go(func() { c.work(i, numbers) })
	}
	for n := range (o.pairs + o.each - 1) / o.each {
		if o.only < 0 || n == 0 {
			numbers <- max(n, o.only)
		}
	}
	close(numbers)
	group.Wait()
	c.report()
	return c.found, c.err
}

// prepare unpacks an image and gives some files attributes in blocks of their own.
func prepare(dir, name, program string) (*image, error) {
	p, err := testimages.Unpack(name)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, p, 0o600); err != nil {
		return nil, err
	}
	defer os.Remove(file)
	for _, path := range []string{"/hello", "/dir/numbers", "/dir"} {
		large := fmt.Sprintf("%0300d", len(path))
		if out, err := exec.Command(program, "xattr", "set", file, path, "user.large", large).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", name, err, out)
		}
	}
	count, said, err := complaints(file, filepath.Join(dir, "log"))
	if err != nil || len(count) > 0 {
		return nil, fmt.Errorf("%s is not clean: %v\n%s", name, err, said)
	}
	if p, err = os.ReadFile(file); err != nil {
		return nil, err
	}
	return catalogue(name, p, program, file)
}

// campaign is what all workers share.
type campaign struct {
	options
	dir    string
	images []*image
	begun  time.Time

	mu       sync.Mutex
	pairs    int
	skipped  int
	found    int
	expected int // pairs with consequences that nobody could have prevented
	slowest  time.Duration
	slow     string
	status   map[int]int    // exit statuses
	kinds    map[string]int // of findings
	err      error
}

func (c *campaign) report() {
	fmt.Printf("%d pairs, seed %d, %v; %d mutations skipped for e2fsck or debugfs did not end\n", c.pairs, c.seed, time.Since(c.begun).Round(time.Second), c.skipped)
	fmt.Printf("exit statuses: %v; the slowest took %v: %s\n", c.status, c.slowest.Round(time.Millisecond), c.slow)
	fmt.Printf("%d pairs with what had to follow from the defect (the table in judge.go says what)\n", c.expected)
	var kinds []string
	for k := range c.kinds {
		kinds = append(kinds, k)
	}
	sort.Slice(kinds, func(i, j int) bool { return c.kinds[kinds[i]] > c.kinds[kinds[j]] })
	for _, k := range kinds {
		fmt.Printf("%6d %s\n", c.kinds[k], k)
	}
	fmt.Printf("%d found\n", c.found)
}
