//go:build linux

// Command frag compares the fragmentation that this module's allocator leaves with the kernel's. Both run the same
// sequence on equal images: fill with files of all sizes in sixteen directories, delete a random half, fill again. It
// prints the extents per file of the second filling, and the ratio.
//
//	go run ./scripts/bench/frag [-dir DIR] [-size MIB] [-seed N] [-seeds N] [-append]
//
// It needs root, for the kernel's loop mount. With -append several files grow at the same time, by writes of 1 MiB. A
// small image holds few files, so single sequences differ by a tenth and more: the last line is the mean over all
// seeds.
package main

import (
	"flag"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"

	"ext4img/aio"
	"ext4img/aio/block"
	"ext4img/ext4"
	"ext4img/ext4/layout"
)

// A target is a file system on which the sequence runs.
type target interface {
	Mkdir(name string) error
	Append(name string, p []byte, off int64) error
	Remove(name string) error
	Sync() error
}

// A plan is the sequence: names and sizes, the same for every target.
type plan struct {
	first, second []item
	deleted       map[string]bool
}

type item struct {
	name string
	size int64
}

const (
	directories = 16
	step        = 1 << 20 // of a write
	growing     = 4       // files that grow at a time with -append
)

func main() {
	var (
		dir      = flag.String("dir", os.TempDir(), "where to make the two images")
		mib      = flag.Int64("size", 768, "size of an image, MiB")
		seed     = flag.Int64("seed", 1, "of the first sequence")
		seeds    = flag.Int64("seeds", 6, "sequences, each with the next seed")
		together = flag.Bool("append", false, "several files grow at a time")
	)
	flag.Parse()
	if err := runAll(*dir, *mib<<20, *seed, *seeds, *together); err != nil {
		fmt.Fprintln(os.Stderr, "frag:", err)
		os.Exit(1)
	}
}

func runAll(dir string, size, seed, seeds int64, together bool) error {
	var per [2]float64
	for i := range seeds {
		one, err := run(dir, size, seed+i, together)
		if err != nil {
			return fmt.Errorf("seed %d: %w", seed+i, err)
		}
		per[0] += one[0] / float64(seeds)
		per[1] += one[1] / float64(seeds)
	}
	fmt.Printf("all: extents per file: kernel %.3f, ext4img %.3f, ratio %.3f (bar 1.2)\n", per[0], per[1], per[1]/per[0])
	return nil
}

// run runs one sequence with the kernel and with this module, and returns the extents per file.
func run(dir string, size, seed int64, together bool) (per [2]float64, err error) {
	tmp, err := os.MkdirTemp(dir, "frag")
	if err != nil {
		return per, err
	}
	defer os.RemoveAll(tmp)
	p := makePlan(rand.New(rand.NewSource(seed)), size)
	for i, play := range []func(string, *plan, bool) error{playKernel, playOurs} {
		image := filepath.Join(tmp, fmt.Sprintf("image%d", i))
		if out, err := exec.Command("mke2fs", "-q", "-F", "-t", "ext4", image, fmt.Sprint(size>>10)).CombinedOutput(); err != nil {
			return per, fmt.Errorf("mke2fs: %w: %s", err, out)
		}
		if err := play(image, p, together); err != nil {
			return per, err
		}
		if out, err := exec.Command("e2fsck", "-fn", image).CombinedOutput(); err != nil {
			return per, fmt.Errorf("e2fsck: %w: %s", err, out)
		}
		if per[i], err = extentsPerFile(image, p); err != nil {
			return per, err
		}
	}
	fmt.Printf("seed %d: %d files, %d deleted, %d more; extents per file: kernel %.3f, ext4img %.3f, ratio %.3f\n",
		seed, len(p.first), len(p.deleted), len(p.second), per[0], per[1], per[1]/per[0])
	return per, nil
}

// makePlan makes a plan that fills four fifths of the image twice.
func makePlan(r *rand.Rand, size int64) *plan {
	p := &plan{deleted: make(map[string]bool)}
	var used int64
	fill := func(prefix string) (out []item) {
		for used < size*80/100 {
			n := int64(1) << (12 + r.Intn(12))
			n += r.Int63n(n)
			out = append(out, item{fmt.Sprintf("/d%d/%s%d", r.Intn(directories), prefix, len(out)), n})
			used += (n + 4095) &^ 4095
		}
		return out
	}
	p.first = fill("a")
	for _, f := range p.first {
		if r.Intn(2) == 0 {
			p.deleted[f.name] = true
			used -= (f.size + 4095) &^ 4095
		}
	}
	p.second = fill("b")
	return p
}

// play runs the sequence on a target.
func play(t target, p *plan, together bool) error {
	for i := range directories {
		if err := t.Mkdir(fmt.Sprintf("/d%d", i)); err != nil {
			return err
		}
	}
	if err := fill(t, p.first, together); err != nil {
		return err
	}
	for _, f := range p.first {
		if p.deleted[f.name] {
			if err := t.Remove(f.name); err != nil {
				return err
			}
		}
	}
	if err := t.Sync(); err != nil {
		return err
	}
	if err := fill(t, p.second, together); err != nil {
		return err
	}
	return t.Sync()
}

// fill writes the files, one after the other or several at a time.
func fill(t target, files []item, together bool) error {
	n := 1
	if together {
		n = growing
	}
	buffer := block.Aligned(step, 4096)
	for ; len(files) > 0; files = files[min(n, len(files)):] {
		some := files[:min(n, len(files))]
		for off, more := int64(0), true; more; off += step {
			more = false
			for _, f := range some {
				if off < f.size {
					if err := t.Append(f.name, buffer[:min(step, f.size-off)], off); err != nil {
						return err
					}
				}
				more = more || off+step < f.size
			}
		}
	}
	return t.Sync()
}

// kernel is a mounted image.
type kernel struct{ root string }

func playKernel(image string, p *plan, together bool) error {
	root := image + ".mnt"
	if err := os.Mkdir(root, 0o700); err != nil {
		return err
	}
	if out, err := exec.Command("mount", "-o", "loop", image, root).CombinedOutput(); err != nil {
		return fmt.Errorf("mount: %w: %s", err, out)
	}
	err := play(kernel{root}, p, together)
	if out, e := exec.Command("umount", root).CombinedOutput(); e != nil && err == nil {
		err = fmt.Errorf("umount: %w: %s", e, out)
	}
	return err
}

func (k kernel) Mkdir(name string) error  { return os.Mkdir(k.root+name, 0o755) }
func (k kernel) Remove(name string) error { return os.Remove(k.root + name) }

func (k kernel) Append(name string, p []byte, off int64) error {
	f, err := os.OpenFile(k.root+name, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(p, off); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func (k kernel) Sync() error {
	out, err := exec.Command("sync", "-f", k.root).CombinedOutput()
	if err != nil {
		return fmt.Errorf("sync: %w: %s", err, out)
	}
	return nil
}

// ours is an image opened by this module.
type ours struct{ *ext4.FS }

func playOurs(image string, p *plan, together bool) error {
	dev, err := aio.Open(image, aio.Options{Write: true})
	if err != nil {
		return err
	}
	defer dev.Close()
	f, err := ext4.Open(dev, ext4.Options{})
	if err != nil {
		return err
	}
	if err := play(ours{f}, p, together); err != nil {
		return err
	}
	return f.Close()
}

func (o ours) Mkdir(name string) error {
	return o.FS.Mkdir(name, ext4.Attr{Perm: ext4.PermBits(fs.FileMode(0o755))})
}

func (o ours) Append(name string, p []byte, off int64) error {
	f, err := o.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(p, off); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// extentsPerFile is the mean over the files of the second filling.
func extentsPerFile(image string, p *plan) (float64, error) {
	dev, err := aio.Open(image, aio.Options{})
	if err != nil {
		return 0, err
	}
	defer dev.Close()
	f, err := ext4.Open(dev, ext4.Options{ReadOnly: true})
	if err != nil {
		return 0, err
	}
	defer f.Close()
	total := 0
	for _, item := range p.second {
		n, err := extents(f, item.name)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return float64(total) / float64(max(1, len(p.second))), nil
}

// extents counts the runs of contiguous blocks of a file.
func extents(f *ext4.FS, name string) (n int, err error) {
	file, err := f.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	var end layout.Pblk
	err = file.Extents(func(e layout.Extent) bool {
		if e.Pblk != end {
			n++
		}
		end = e.Pblk + layout.Pblk(e.Len)
		return true
	})
	return n, err
}
