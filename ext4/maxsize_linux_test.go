package ext4

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ext4img/aio/block"
	"ext4img/ext4/layout"
	"ext4img/testimages/judge"
)

// edgeStep is one step at the end of what a file can be. It begins with a new, empty file, or goes on with the last one.
type edgeStep struct {
	what   string // truncate, write, or a mode of fallocate
	off, n int64
	goOn   bool
}

// edgeSteps are steps around the limits of files by extents and of files by block numbers.
func edgeSteps(g *layout.Geometry) (steps []edgeStep) {
	bs := int64(g.BlockSize)
	add := func(goOn bool, what string, off, n int64) { steps = append(steps, edgeStep{what, off, n, goOn}) }
	for _, most := range []int64{g.MaxFileSize(), g.MaxMappedSize(), int64(layout.MaxLblk) * bs, 1<<32*bs - 1} {
		for _, d := range []int64{-bs, -1, 0, 1, bs} {
			add(false, "truncate", most+d, 0)
			add(false, "write", most+d-1, 1)
			add(false, "write", most+d-bs, bs)
			for _, mode := range []string{"allocate", "keep", "zero", "punch"} {
				add(false, mode, most+d-bs, bs)
			}
		}
		if most%bs != 0 {
			continue
		}
		// The last block is written, punched, cut and made anew, and the file moved to and fro.
		add(false, "write", most-bs, bs)
		add(true, "write", 3*bs, bs)
		add(true, "insert", 0, bs)
		add(true, "collapse", 0, bs)
		add(true, "insert", 0, bs)
		add(true, "insert", 0, bs)
		add(true, "punch", most-bs, bs)
		add(true, "allocate", most-2*bs, 2*bs)
		add(true, "zero", most-2*bs, 2*bs)
		add(true, "punch", 0, most)
		add(true, "punch", most-bs-5, bs+5)
		add(true, "truncate", most-bs-7, 0)
		add(true, "truncate", most, 0)
		add(true, "write", most-3, 3)
		add(true, "truncate", 1, 0)
	}
	return steps
}

var edgeModes = map[string]FallocMode{"allocate": 0, "keep": FallocKeepSize, "zero": FallocZeroRange,
	"punch": FallocPunchHole | FallocKeepSize, "insert": FallocInsertRange, "collapse": FallocCollapseRange}

// outcomeOf is how a step ended, as both print it.
func outcomeOf(s edgeStep, err error, size int64) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) && err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %#x+%d: %q, size %#x", s.what, s.off, s.n, errno.Error(), size)
}

func edgeOurs(t *testing.T, img string, steps []edgeStep) (out []string) {
	fs, dev := openImage(t, img, Options{})
	q, err := fs.NewQueue(1)
	must(t, err)
	var f *File
	for _, s := range steps {
		if !s.goOn {
			if f != nil {
				must(t, f.Close())
			}
			var err error
			f, err = fs.OpenFile("/f", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
			must(t, err)
		}
		var err error
		switch s.what {
		case "truncate":
			err = f.Truncate(s.off)
		case "write":
			if fs.wholeBlocks(s.off, int(s.n)) {
				err = throughQueue(q, &Request{File: f, Op: OpWrite, Buf: block.Aligned(int(s.n), 4096), Off: s.off})
			} else {
				_, err = f.WriteAt(make([]byte, s.n), s.off)
			}
		default:
			err = f.Fallocate(edgeModes[s.what], s.off, s.n)
		}
		size, e := f.n.size()
		must(t, e)
		out = append(out, outcomeOf(s, err, int64(size)))
	}
	must(t, errors.Join(f.Close(), q.Close()))
	closeImage(t, fs, dev)
	return out
}

func edgeKernel(t *testing.T, img string, steps []edgeStep) (out []string) {
	judge.Mount(t, img, "", func(root string) {
		var f *os.File
		for _, s := range steps {
			if !s.goOn {
				if f != nil {
					must(t, f.Close())
				}
				var err error
				f, err = os.Create(filepath.Join(root, "f"))
				must(t, err)
			}
			var err error
			switch s.what {
			case "truncate":
				err = f.Truncate(s.off)
			case "write":
				_, err = f.WriteAt(make([]byte, s.n), s.off)
			default:
				err = syscall.Fallocate(int(f.Fd()), uint32(edgeModes[s.what]), s.off, s.n)
			}
			info, e := f.Stat()
			must(t, e)
			out = append(out, outcomeOf(s, err, info.Size()))
		}
		must(t, f.Close())
	})
	return out
}

// TestEdgeOfFiles does the same to files at the end of what they can be as the kernel does: the same errors, the same
// sizes. What differs is a write that reaches beyond the end: the kernel writes the part before it, we write nothing.
func TestEdgeOfFiles(t *testing.T) {
	judge.Need(t, "mke2fs", "e2fsck")
	for _, bs := range []string{"1024", "4096"} {
		for _, features := range []string{"extent", "^huge_file", "^extent,^64bit", "^extent,^64bit,^huge_file", "bigalloc"} {
			t.Run(bs+" "+features, func(t *testing.T) {
				theirs := newImage(t, "32M", "-t", "ext4", "-b", bs, "-O", features)
				ours := copyImage(t, theirs)
				fs, dev := openImage(t, ours, Options{ReadOnly: true})
				steps := edgeSteps(fs.vol.Geo)
				closeImage(t, fs, dev)
				want, got := edgeKernel(t, theirs, steps), edgeOurs(t, ours, steps)
				for i := range want {
					tooFar := steps[i].what == "write" && strings.Contains(want[i], "file too large")
					if got[i] != want[i] && !(tooFar && strings.Contains(got[i], "file too large")) {
						t.Errorf("step %d: %s\nwant %s", i, got[i], want[i])
					}
				}
				fsckClean(t, ours)
			})
		}
	}
}
