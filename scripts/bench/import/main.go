//go:build linux

// Command import compares the time of ext4img import with that of mke2fs -d for the same tree. It runs both in turn,
// each into a fresh image and including the last flush. It prints a table and the ratio of the medians.
//
//	go run ./scripts/bench/import [-src TREE] [-dir DIR] [-size MIB] [-rounds N]
package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

const bar = 1.5 // the largest acceptable multiple of the time of mke2fs -d

func main() {
	var (
		src    = flag.String("src", "/usr/share", "tree to import")
		dir    = flag.String("dir", os.TempDir(), "where to make the images")
		mib    = flag.Int64("size", 0, "size of an image, MiB; 0: twice the tree, and 256 more")
		rounds = flag.Int("rounds", 5, "rounds of both")
	)
	flag.Parse()
	if err := run(*src, *dir, *mib, max(1, *rounds)); err != nil {
		fmt.Fprintln(os.Stderr, "import:", err)
		os.Exit(1)
	}
}

func run(src, dir string, mib int64, rounds int) error {
	tmp, err := os.MkdirTemp(dir, "import")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	tool := filepath.Join(tmp, "ext4img")
	if out, err := exec.Command("env", "CGO_ENABLED=0", "go", "build", "-o", tool, "./cmd/ext4img").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	files, bytes, err := weigh(src) // this also warms the cache
	if err != nil {
		return err
	}
	if mib == 0 {
		mib = bytes>>19 + 256
	}
	size, image := fmt.Sprintf("%dM", mib), filepath.Join(tmp, "image")
	sides := []struct {
		name  string
		lines [][]string
	}{
		{"mke2fs -d", [][]string{{"mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-d", src, image, size}}},
		{"ext4img", [][]string{{tool, "mkfs", "-F", image, size}, {tool, "import", src, image, "/"}}},
	}
	fmt.Printf("%s: %d files, %d MiB; image %s\n%-8s%12s%12s%8s\n", src, files, bytes>>20, size, "round", sides[0].name, sides[1].name, "ratio")
	var took [2][]time.Duration
	for r := range rounds {
		var last [2]time.Duration
		for k := range sides {
			i := (k + r) % 2 // the order changes with each round
			if last[i], err = timed(image, sides[i].lines); err != nil {
				return fmt.Errorf("%s: %w", sides[i].name, err)
			}
			took[i] = append(took[i], last[i])
		}
		row(fmt.Sprint(r+1), last)
	}
	for i := range took {
		slices.Sort(took[i])
	}
	row("median", [2]time.Duration{took[0][rounds/2], took[1][rounds/2]})
	fmt.Printf("bar: ratio at most %.1f\n", bar)
	return nil
}

func row(name string, d [2]time.Duration) {
	fmt.Printf("%-8s%10.2f s%10.2f s%8.2f\n", name, d[0].Seconds(), d[1].Seconds(), d[1].Seconds()/d[0].Seconds())
}

// timed runs one side into a fresh image, flushes the image, and has it judged.
func timed(image string, lines [][]string) (time.Duration, error) {
	if err := os.RemoveAll(image); err != nil {
		return 0, err
	}
	start := time.Now()
	for _, line := range lines {
		if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
			return 0, fmt.Errorf("%w: %s", err, out)
		}
	}
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	err = f.Sync()
	took := time.Since(start)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return 0, err
	}
	if out, err := exec.Command("e2fsck", "-fn", image).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("e2fsck: %w: %s", err, out)
	}
	return took, nil
}

// weigh counts files and bytes, and reads them all.
func weigh(src string) (files int, bytes int64, err error) {
	err = filepath.WalkDir(src, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		files++
		if d.Type().IsRegular() {
			content, err := os.ReadFile(p)
			bytes += int64(len(content))
			return err
		}
		return nil
	})
	return files, bytes, err
}
