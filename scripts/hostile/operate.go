package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// operation is one run of the program on an image.
type operation struct {
	args  []string // IMAGE stands for the file
	reads bool     // it must not change a byte
	whole bool     // one step: if it fails, nothing has changed
	keeps bool     // if it fails, files hold what they held

	// What may be gone, or read differently, afterwards.
	paths []string // these names, and what is below them
	file  string   // all names of the inode that this one leads to
}

func (o operation) String() string { return strings.Join(o.args, " ") }

// touches tells whether the operation may change what a path gives.
func (o operation) touches(p path, before state) bool {
	ino := before.readable[p.Path].ino
	if o.file != "" {
		return p.Path == o.file || ino == before.readable[o.file].ino
	}
	for _, own := range o.paths {
		below := strings.TrimSuffix(own, "/") + "/"
		if p.Path == own || strings.HasPrefix(p.Path, below) {
			return true
		}
		if before.complaints[links] == 0 {
			continue
		}
		for gone, s := range before.readable { // with too few links the inode goes with one name of several
			if s.ino == ino && (gone == own || strings.HasPrefix(gone, below)) {
				return true
			}
		}
	}
	return false
}

// material makes what is copied in: a file and a small tree. It returns their folder.
func material(dir string) error {
	for i := range 12 {
		at := filepath.Join(dir, "tree", fmt.Sprintf("d%d", i%3), fmt.Sprintf("file-%d", i))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(at, []byte(strings.Repeat("content ", i*400)), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "file"), []byte(strings.Repeat("0123456789abcdef", 1250)), 0o644)
}

// drawing is what the table of operations chooses from.
type drawing struct {
	m        *mutation
	paths    []path // of those that are judged
	r        *rand.Rand
	material string
}

// any draws a path: more often than not of what the mutation is about, or beside it.
func (d drawing) any(kinds string) path {
	own := d.m.pathOf(d.m.ino)
	var all, near []path
	for _, p := range d.paths {
		if !strings.Contains(kinds, p.Type) {
			continue
		}
		all = append(all, p)
		if own != "" && (p.Path == own || filepath.Dir(p.Path) == own || p.Path == filepath.Dir(own)) {
			near = append(near, p)
		}
	}
	if len(near) > 0 && d.r.IntN(3) > 0 {
		all = near
	}
	return all[d.r.IntN(len(all))]
}

func (d drawing) file() path { return d.any("regular file") }
func (d drawing) dir() string {
	if d.r.IntN(3) == 0 {
		return "/"
	}
	return d.any("directory").Path
}

// on is an operation that changes what a file holds.
func on(p path, args ...string) operation {
	return operation{args: args, file: p.Path, keeps: args[0] != "write"}
}

// draw draws an operation. Each entry stands for one command, and for the ways it may be called.
func (d drawing) draw() operation {
	table := []func() operation{d.read, d.read, d.remove, d.remove, d.truncate, d.put, d.write, d.fallocate, d.fallocate, d.fallocate,
		d.mkdir, d.link, d.move, d.chmod, d.xattr, d.tree}
	return table[d.r.IntN(len(table))]()
}

func (d drawing) one(list ...string) string { return list[d.r.IntN(len(list))] }

func (d drawing) read() operation {
	o := operation{reads: true}
	switch d.r.IntN(5) {
	case 0:
		o.args = []string{"ls", "-l", "-R", "IMAGE", "/"}
	case 1:
		o.args = []string{"export", "--tar", "IMAGE", "/", "-"}
	case 2:
		o.args = []string{"verify", "IMAGE"}
	case 3:
		o.args = []string{"extents", "--all", "IMAGE", "/"}
	default:
		o.args = []string{"cat", "IMAGE", d.file().Path}
	}
	return o
}

func (d drawing) remove() operation {
	if d.r.IntN(2) == 0 {
		p := d.any("regular file symlink").Path
		return operation{args: []string{"rm", "IMAGE", p}, paths: []string{p}}
	}
	p := d.any("directory").Path
	return operation{args: []string{"rm", "-r", "IMAGE", p}, paths: []string{p}}
}

func (d drawing) truncate() operation {
	p := d.file()
	return on(p, "truncate", "-s", d.one("0", "1", "1000", "5000", "+100000", "300000"), "IMAGE", p.Path)
}

func (d drawing) put() operation {
	p := d.file()
	if d.r.IntN(3) == 0 {
		return operation{args: []string{"put", d.material + "/file", "IMAGE", filepath.Join(d.dir(), "new")}}
	}
	return on(p, "put", d.material+"/file", "IMAGE", p.Path)
}

func (d drawing) write() operation {
	p := d.file()
	return on(p, "write", "--from", d.material+"/file", "--offset", d.one("0", "100", "4096", "40000", "500000"), "IMAGE", p.Path)
}

func (d drawing) fallocate() operation {
	p := d.file()
	off, n := d.one("0", "1024", "4096", "16384", "65536", "163840"), d.one("1024", "4096", "16384", "65536", "1M")
	args := []string{"fallocate", "-o", off, "-l", n, "IMAGE", p.Path}
	if how := d.one("", "-p", "-z", "-c", "-i", "-n"); how != "" {
		args = append(args, how)
	}
	return on(p, args...)
}

func (d drawing) mkdir() operation {
	return operation{args: []string{"mkdir", "IMAGE", filepath.Join(d.dir(), "a-new-directory")}, whole: true}
}

func (d drawing) link() operation {
	to := filepath.Join(d.dir(), "a-new-link")
	if d.r.IntN(2) == 0 {
		return operation{args: []string{"ln", "-s", "IMAGE", strings.Repeat("t", 1+d.r.IntN(100)), to}, whole: true}
	}
	return operation{args: []string{"ln", "IMAGE", d.any("regular file symlink").Path, to}, whole: true}
}

func (d drawing) move() operation {
	from := d.any("regular file symlink directory").Path
	if d.r.IntN(3) == 0 {
		to := d.any("regular file symlink").Path
		return operation{args: []string{"mv", "-T", "IMAGE", from, to}, paths: []string{from, to}}
	}
	return operation{args: []string{"mv", "-T", "IMAGE", from, filepath.Join(d.dir(), "a-new-name")}, whole: true, paths: []string{from}}
}

func (d drawing) chmod() operation {
	if d.r.IntN(2) == 0 {
		return operation{args: []string{"chmod", "-R", "IMAGE", "700", d.dir()}}
	}
	return operation{args: []string{"chmod", "IMAGE", "600", d.any("regular file directory").Path}, whole: true}
}

func (d drawing) xattr() operation {
	p := d.any("regular file directory").Path
	if d.r.IntN(3) == 0 {
		return operation{args: []string{"xattr", "rm", "IMAGE", p, d.one("user.greeting", "user.kind", "user.large")}, whole: true}
	}
	return operation{args: []string{"xattr", "set", "IMAGE", p, d.one("user.greeting", "user.large", "user.new"), strings.Repeat("v", 1+d.r.IntN(700))}, whole: true}
}

func (d drawing) tree() operation {
	return operation{args: []string{"import", d.material + "/tree", "IMAGE", d.one(d.dir(), "/imported")}}
}
