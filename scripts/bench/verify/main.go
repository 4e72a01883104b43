//go:build linux

// Command verify compares `ext4img verify` with `e2fsck -fn` on an image with many files and on a large sparse one, with
// the image in the page cache and without. It prints a table of medians and the ratio of the times.
//
//	go run ./scripts/bench/verify [-dir DIR] [-files 500000] [-pairs 5] [IMAGE ...]
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	dir := flag.String("dir", os.TempDir(), "where to make the images")
	files := flag.Int("files", 500_000, "files in the image with many")
	pairs := flag.Int("pairs", 5, "runs of each program per line, in turns")
	flag.Parse()
	if err := run(*dir, *files, *pairs, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench verify:", err)
		os.Exit(1)
	}
}

func run(dir string, files, pairs int, images []string) error {
	work, err := os.MkdirTemp(dir, "bench-verify-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	tool := filepath.Join(work, "ext4img")
	if err := command("env", "CGO_ENABLED=0", "go", "build", "-o", tool, "./cmd/ext4img"); err != nil {
		return err
	}
	if len(images) == 0 {
		if images, err = makeImages(work, files); err != nil {
			return err
		}
	}
	fmt.Printf("%-16s %-5s %9s %9s %6s %8s %8s %8s %8s\n", "image", "cache", "verify s", "e2fsck s", "ratio", "CPU s", "CPU s", "RSS MiB", "RSS MiB")
	for _, image := range images {
		for _, warm := range []bool{true, false} {
			if err := compare(tool, image, warm, pairs); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeImages makes the two images: no root is needed.
func makeImages(work string, files int) ([]string, error) {
	tree, many, sparse := filepath.Join(work, "tree"), filepath.Join(work, "many-files"), filepath.Join(work, "sparse-2T")
	if err := makeTree(tree, files); err != nil {
		return nil, err
	}
	size := fmt.Sprintf("%dM", 512+files*16/1024)
	err := command("mke2fs", "-q", "-t", "ext4", "-N", fmt.Sprint(files+files/10+1000), "-d", tree, many, size)
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(tree); err != nil {
		return nil, err
	}
	return []string{many, sparse}, command("mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=1", sparse, "2T")
}

// makeTree makes small files, 500 in a directory.
func makeTree(dir string, files int) error {
	data := make([]byte, 9000)
	for n := range files {
		d := filepath.Join(dir, fmt.Sprintf("d%03d/e%03d", n/50_000, n/500%100))
		if n%500 == 0 {
			if err := os.MkdirAll(d, 0o755); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(d, fmt.Sprintf("file-%07d.dat", n)), data[:n%4*(n*37%3000)], 0o644); err != nil {
			return err
		}
	}
	return nil
}

// A usage is what one run took.
type usage struct{ seconds, cpu, rss float64 }

// compare runs both programs in turns and prints a line.
func compare(tool, image string, warm bool, pairs int) error {
	var ours, theirs []usage
	for range pairs {
		for _, r := range []struct {
			to   *[]usage
			args []string
		}{
			{&ours, []string{tool, "verify", "--like-e2fsck", image}},
			{&theirs, []string{"e2fsck", "-fn", image}},
		} {
			if err := cache(image, warm); err != nil {
				return err
			}
			u, err := measure(r.args)
			if err != nil {
				return err
			}
			*r.to = append(*r.to, u)
		}
	}
	a, b := median(ours), median(theirs)
	state := "cold"
	if warm {
		state = "warm"
	}
	fmt.Printf("%-16s %-5s %9.2f %9.2f %6.2f %8.2f %8.2f %8.0f %8.0f\n", strings.TrimSuffix(filepath.Base(image), ".img"), state,
		a.seconds, b.seconds, a.seconds/b.seconds, a.cpu, b.cpu, a.rss, b.rss)
	return nil
}

// cache reads the allocated parts of the image into the page cache, or drops them from it.
func cache(image string, warm bool) error {
	f, err := os.Open(image)
	if err != nil {
		return err
	}
	defer f.Close()
	if warm { // a run of e2fsck reads exactly the parts that matter
		_, err := measure([]string{"e2fsck", "-fn", image})
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// measure runs a program that must find the image clean. The system counts the peak memory of the parent as that of a
// new process. So this program first gives up all the memory it can and resets its own peak (proc_pid_clear_refs(5)).
func measure(args []string) (usage, error) {
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return usage{}, err
	}
	cmd := exec.Command(args[0], args[1:]...)
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return usage{}, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	d := time.Since(start)
	s := cmd.ProcessState
	rss := float64(s.SysUsage().(*syscall.Rusage).Maxrss) / 1024
	return usage{d.Seconds(), (s.UserTime() + s.SystemTime()).Seconds(), rss}, nil
}

// median takes the median of each value.
func median(all []usage) usage {
	mid := func(of func(usage) float64) float64 {
		var v []float64
		for _, u := range all {
			v = append(v, of(u))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return usage{
		mid(func(u usage) float64 { return u.seconds }),
		mid(func(u usage) float64 { return u.cpu }),
		mid(func(u usage) float64 { return u.rss }),
	}
}

func command(args ...string) error {
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}
