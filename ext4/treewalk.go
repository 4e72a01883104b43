package ext4

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"ext4img/ext4/layout"
)

// A Walk visits a tree: a file or directory and everything below it, names in the order of their bytes. It goes from
// inode to inode, so the tree may be deeper than a path can be long. It enters each directory once, and does not
// follow symbolic links.
//
// Memory: the names of the directories on the way to the current entry. Those of one directory take at most what
// Inode.Entries takes, and those of all others together at most as much again; names that were given up are read
// again. In addition there is one bit for each inode number.
type Walk struct {
	// Visit is called with each file and directory, before the entries in it. If it returns fs.SkipDir, those are
	// left out; another error ends the walk.
	Visit func(v *Visit) error
	// Changing says that the functions change what they are called with. Then a directory whose ".." does not lead back to
	// the directory that the walk comes from is a *LoopError: its name is a way out of the tree.
	Changing bool
	// Leave, if not nil, is called with each directory that was entered, after the entries in it. An error ends the
	// walk.
	Leave func(v *Visit) error
	// Bad is called with an entry that cannot be visited, and with a directory of which a part cannot be read: after
	// its Visit, before the entries that can be read. The walk goes on unless Bad returns an error. If Bad is nil,
	// such an error ends the walk. For a second way into a directory the error is a *LoopError.
	Bad func(v *Visit, err error) error

	names int // bytes of names; 0: nameMax
}

// A Visit is one step of a Walk. It is valid until the function to which it was passed returns.
type Visit struct {
	Name  string    // the name in its directory; for the top, the path that was passed to Run
	Depth int       // 0 for the top
	Dir   Inode     // the directory with the name; for the top, its own inode
	Inode Inode     // the inode to which the name leads
	Info  *FileInfo // nil if the inode cannot be read
	Last  bool      // no other name follows in its directory

	run *walkRun
	end int // end of the directory's path, or of the top's own, in run.path
}

// Path is the path of the entry: the path of the top, and the names below it.
func (v *Visit) Path() string {
	if v.Depth == 0 {
		return string(v.run.path[:v.end])
	}
	p := v.run.path[:v.end:v.end]
	if v.end == 0 || p[v.end-1] != '/' {
		p = append(p, '/')
	}
	return string(append(p, v.Name...))
}

// LoopError says that a directory is reached by a second way, which no valid tree has.
type LoopError struct {
	Ino    uint32 // the directory
	Parent uint32 // what its ".." leads to, where that is not what the walk comes from; else 0
	cause  error  // why its ".." leads nowhere, where that matters
}

// Error names the directory.
func (e *LoopError) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("inode %d: a directory that does not say where it is: %v", e.Ino, e.cause)
	}
	if e.Parent != 0 {
		return fmt.Sprintf("inode %d: a directory that says it is in directory %d", e.Ino, e.Parent)
	}
	return fmt.Sprintf("inode %d: a directory that was entered by another name already", e.Ino)
}

// Is makes a LoopError an ErrCorrupt.
func (e *LoopError) Is(target error) bool { return target == ErrCorrupt }

// Run walks over top and everything below it. name is the path of top; all paths begin with it. If ctx ends, Run
// returns its cause. If a function returns fs.SkipAll, the walk ends without an error.
func (w *Walk) Run(ctx context.Context, top Inode, name string) error {
	r := &walkRun{Walk: w, ctx: ctx, path: []byte(name), max: cmp.Or(w.names, nameMax), entered: map[uint32]*[enteredPiece / 64]uint64{}}
	err := r.visit(Visit{Name: name, Dir: top, Inode: top, run: r, end: len(name), Last: true})
	for err == nil && len(r.stack) > 0 {
		err = r.step()
	}
	if err == fs.SkipAll {
		return nil
	}
	return err
}

// walkRun is one Run.
type walkRun struct {
	*Walk
	ctx     context.Context
	stack   []walkDir
	path    []byte // path of the current directory
	entered map[uint32]*[enteredPiece / 64]uint64
	max     int // bound for the bytes of names: of one directory, and of all but the current one together
	held    int // bytes of names in stack
	dropped int // number of directories in stack, from the top, that gave up their names
}

// walkDir is a directory on the way to the current entry.
type walkDir struct {
	visit Visit
	names *nameList
}

// enteredPiece is the number of inode numbers in one piece of the bitmap of directories that were entered.
const enteredPiece = 1 << 15

// step goes on to the next name of the current directory, or leaves the directory.
func (r *walkRun) step() error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	d := &r.stack[len(r.stack)-1]
	r.held -= d.names.size
	e, ok := d.names.next()
	r.held += d.names.size
	if ok {
		in := d.visit.Inode
		return r.visit(Visit{Name: e.Name, Depth: len(r.stack), Dir: in, Inode: in.fs.Inode(e.Ino), run: r, end: len(r.path), Last: d.names.done()})
	}
	if err := d.names.err; err != nil {
		if r.ctx.Err() != nil {
			return err
		}
		d.names.err = nil
		return r.bad(&d.visit, err)
	}
	left := d.visit
	r.held -= d.names.size
	r.stack[len(r.stack)-1] = walkDir{}
	r.stack = r.stack[:len(r.stack)-1]
	r.dropped = min(r.dropped, max(len(r.stack)-1, 0))
	r.path = r.path[:left.end]
	if r.Leave == nil {
		return nil
	}
	return r.Leave(&left)
}

// visit visits one entry, and enters it if it is a directory.
func (r *walkRun) visit(v Visit) error {
	info, err := v.Inode.Stat(baseName(v.Name))
	if err != nil {
		return r.bad(&v, err)
	}
	v.Info = info
	if info.IsDir() {
		if r.enteredBit(v.Inode.ino, false) {
			return r.bad(&v, &LoopError{Ino: v.Inode.Ino()})
		}
		if err := r.leadsBack(&v); err != nil {
			return r.bad(&v, err)
		}
	}
	switch err := r.Visit(&v); {
	case err == fs.SkipDir || err == nil && !info.IsDir():
		return nil
	case err != nil:
		return err
	}
	return r.enter(&v)
}

// leadsBack refuses a directory that would be changed, and does not say that it is where it was found.
func (r *walkRun) leadsBack(v *Visit) error {
	if !r.Changing || v.Depth == 0 {
		return nil
	}
	up, err := v.Inode.Lookup("..")
	switch {
	case err != nil:
		return &LoopError{Ino: v.Inode.Ino(), cause: reason(err)}
	case up != v.Dir:
		return &LoopError{Ino: v.Inode.Ino(), Parent: up.Ino()}
	}
	return nil
}

// enter reads the names of a directory.
func (r *walkRun) enter(v *Visit) error {
	r.enteredBit(v.Inode.ino, true)
	names, bad, err := v.Inode.fs.listNames(r.ctx, v.Inode.ino, r.max)
	if err != nil {
		return err
	}
	for _, b := range bad {
		if err := r.bad(v, b); err != nil {
			return err
		}
	}
	if v.Depth > 0 {
		if v.end == 0 || r.path[v.end-1] != '/' {
			r.path = append(r.path, '/')
		}
		r.path = append(r.path, v.Name...)
	}
	r.held += names.size
	for ; r.held > r.max && r.dropped < len(r.stack); r.dropped++ {
		d := r.stack[r.dropped].names
		r.held -= d.size
		d.drop()
		r.held += d.size
	}
	r.stack = append(r.stack, walkDir{*v, names})
	return nil
}

func (r *walkRun) bad(v *Visit, err error) error {
	if r.Bad == nil {
		return &fs.PathError{Op: "walk", Path: v.Path(), Err: reason(err)}
	}
	return r.Bad(v, reason(err))
}

// enteredBit reports whether a directory was entered, and if set is true records that it was.
func (r *walkRun) enteredBit(ino layout.Ino, set bool) bool {
	piece, at := uint32(ino)/enteredPiece, uint32(ino)%enteredPiece
	p := r.entered[piece]
	if p == nil {
		if !set {
			return false
		}
		p = new([enteredPiece / 64]uint64)
		r.entered[piece] = p
	}
	was := p[at/64]>>(at%64)&1 != 0
	if set {
		p[at/64] |= 1 << (at % 64)
	}
	return was
}

// reason returns an error without its path.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
