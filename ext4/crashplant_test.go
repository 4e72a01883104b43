package ext4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"os"
	"reflect"
	"slices"
	"testing"

	"ext4img/aio"
	"ext4img/aio/simdev"
	"ext4img/ext4/internal/group"
	"ext4img/ext4/internal/volume"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// The exploration is worth what it finds. Each of these tests plants a defect in what was right, and wants it found: in
// the order of the writes, by editing the trace; in the log, likewise; or in the recovery.

// What a write is.
type written int

const (
	writtenHome written = iota
	writtenData         // filled with one letter, as the workloads do
	writtenDescriptor
	writtenCommit
	writtenLogSuper
	writtenLog
)

// sorter tells what the writes of a file system are.
type sorter struct{ area *journal.Area }

func newSorter(t *testing.T, base *simdev.Image) sorter {
	area, err := logArea(simdev.FromImage(base.Clone()))
	must(t, err)
	return sorter{area}
}

// logArea is where the log is in a file system that has one inside.
func logArea(dev aio.Device) (*journal.Area, error) {
	fs, err := Open(dev, Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	area := &journal.Area{BlockSize: fs.vol.Geo.BlockSize}
	v := fs.vol.Journal.View()
	err = fs.vol.Extents.Walk(v, layout.JournalIno, 0, func(e layout.Extent) (bool, error) {
		area.Blocks = append(area.Blocks, journal.Run{Phys: uint64(e.Pblk), Len: e.Len})
		return true, nil
	})
	v.Close()
	return area, errors.Join(err, fs.Close())
}

// changeSuper changes the superblock of a file system that is not open.
func changeSuper(dev aio.Device, fn func(s layout.Superblock)) error {
	p := make([]byte, layout.SuperSize)
	if _, err := dev.ReadAt(p, layout.SuperOffset); err != nil {
		return err
	}
	bs := 1024 << layout.Superblock(p).LogBlockSize()
	ref := journal.Ref{Block: uint64(layout.SuperOffset / bs), Off: layout.SuperOffset % bs, Len: layout.SuperSize, Type: layout.SuperType{}}
	return journal.UpdateHome(dev, bs, ref, func(p []byte) error {
		fn(layout.Superblock(p))
		return nil
	})
}

func (s sorter) kind(w *simdev.Write) written {
	block := uint64(w.Off) / uint64(s.area.BlockSize)
	inLog := slices.ContainsFunc(s.area.Blocks, func(r journal.Run) bool { return block >= r.Phys && block < r.Phys+uint64(r.Len) })
	switch {
	case !inLog && len(w.Data) >= 512 && bytes.Equal(w.Data[:256], bytes.Repeat(w.Data[:1], 256)) && w.Data[0] != 0:
		return writtenData
	case !inLog:
		return writtenHome
	case binary.BigEndian.Uint32(w.Data) != 0xC03B3998:
		return writtenLog
	}
	switch binary.BigEndian.Uint32(w.Data[4:]) {
	case 1, 5:
		return writtenDescriptor
	case 2:
		return writtenCommit
	}
	return writtenLogSuper
}

// dropFlush takes away the flushes that end the epochs for which end says so: what was written in them may be lost in
// the next one too.
func dropFlush(tr *simdev.Trace, end func(in, next []*simdev.Write) bool) {
	epochs := map[int][]*simdev.Write{}
	for _, w := range tr.Writes {
		epochs[w.Epoch] = append(epochs[w.Epoch], w)
	}
	drop := map[int]bool{}
	for e := tr.First; e < tr.Last; e++ {
		drop[e] = end(epochs[e], epochs[e+1])
	}
	tr.Change(func(w *simdev.Write) {
		for drop[w.Until] {
			w.Until++
		}
	})
}

// plantedDefect is a defect and a workload in which it matters.
type plantedDefect struct {
	name   string
	opts   []string
	ops    []crashOp
	trace  func(s sorter, tr *simdev.Trace)
	before func(dev *simdev.Device) error
}

func plantedDefects() []plantedDefect {
	noSums := []string{"-O", "^metadata_csum,^64bit"}
	has := func(s sorter, ws []*simdev.Write, k written) bool {
		return slices.ContainsFunc(ws, func(w *simdev.Write) bool { return s.kind(w) == k })
	}
	return []plantedDefect{
		{name: "O2: no flush before the commit block", opts: noSums, ops: plantNames(), trace: func(s sorter, tr *simdev.Trace) {
			dropFlush(tr, func(in, next []*simdev.Write) bool {
				return has(s, in, writtenDescriptor) && has(s, next, writtenCommit)
			})
		}},
		{name: "no flush after the commit block", opts: noSums, ops: plantNames(), trace: func(s sorter, tr *simdev.Trace) {
			dropFlush(tr, func(in, _ []*simdev.Write) bool { return has(s, in, writtenCommit) })
		}},
		{name: "O1: conversion before the data", ops: plantWrites(), trace: func(s sorter, tr *simdev.Trace) {
			tr.Change(func(w *simdev.Write) {
				if s.kind(w) == writtenData {
					w.Until += 3
				}
			})
		}},
		{name: "O3: home before the commit", ops: plantCheckpoints(), trace: func(s sorter, tr *simdev.Trace) {
			tr.Change(func(w *simdev.Write) {
				if s.kind(w) == writtenHome {
					w.Epoch = max(tr.First, w.Epoch-4)
				}
			})
		}},
		{name: "O4: the log is reused before its blocks are home", ops: plantCheckpoints(), trace: func(s sorter, tr *simdev.Trace) {
			dropFlush(tr, func(in, next []*simdev.Write) bool {
				return has(s, in, writtenHome) && len(next) > 0 && s.kind(next[0]) == writtenLogSuper
			})
		}},
		{name: "O5: what was freed does not rest", ops: plantReuse()},
		{name: "an IOEnd lost in truncate: the blocks go to another file with the write in flight", ops: plantLate(), trace: func(s sorter, tr *simdev.Trace) {
			tr.Change(func(w *simdev.Write) {
				if s.kind(w) == writtenData && w.Data[0] == 'n' {
					w.Until = math.MaxInt
				}
			})
		}},
		{name: "a missing revoke", opts: noSums, ops: plantRevoke(), trace: func(s sorter, tr *simdev.Trace) {
			s.eachLogBlock(tr, func(p []byte, _ bool) {
				if isLogBlock(p, 5) {
					binary.BigEndian.PutUint32(p[12:], 16) // r_count: the header alone
				}
			})
		}},
		{name: "a wrong block in the log, checksum not verified", opts: noSums, ops: plantNames(), trace: rotLog},
		{name: "a wrong block in the log, checksum verified", ops: plantNames(), trace: rotLog},
		{name: "an orphan forgotten", ops: plantOrphan(), before: forgetOrphans},
	}
}

// eachLogBlock gives fn every block written to the log, to be changed; data for those that are copies.
func (s sorter) eachLogBlock(tr *simdev.Trace, fn func(p []byte, data bool)) {
	tr.Change(func(w *simdev.Write) {
		if k := s.kind(w); k != writtenDescriptor {
			return
		}
		w.Data = bytes.Clone(w.Data)
		for at := 0; at < len(w.Data); at += s.area.BlockSize {
			p := w.Data[at : at+s.area.BlockSize]
			fn(p, binary.BigEndian.Uint32(p) != 0xC03B3998)
		}
	})
}

func isLogBlock(p []byte, kind uint32) bool {
	return binary.BigEndian.Uint32(p) == 0xC03B3998 && binary.BigEndian.Uint32(p[4:]) == kind
}

// rotLog changes the copies in the log. (Zeros at the end of a transaction are the place of the commit block.)
func rotLog(s sorter, tr *simdev.Trace) {
	s.eachLogBlock(tr, func(p []byte, data bool) {
		if data && !bytes.Equal(p, make([]byte, len(p))) {
			for i := 64; i < len(p); i += 64 {
				p[i] ^= 0x55
			}
		}
	})
}

// forgetOrphans recovers the log and empties the list of orphans.
func forgetOrphans(dev *simdev.Device) error {
	if err := volume.Recover(dev, volume.Options{}); err != nil {
		return err
	}
	return changeSuper(dev, func(s layout.Superblock) {
		if s.FeatureIncompat()&layout.IncompatRecover != 0 {
			s.SetLastOrphan(0)
		}
	})
}

// plantNames are operations on names, with more than one block of metadata in each transaction.
func plantNames() (ops []crashOp) {
	for i := range 6 {
		ops = append(ops, crashOp{name: "mkdir", run: func(fs *FS) error {
			dir := fmt.Sprintf("/A/d%d", i)
			err := fs.Mkdir(dir, Attr{Perm: 0o755})
			return errors.Join(err, fs.Symlink("x", dir+"/s", Attr{}), fs.Rename(dir, fmt.Sprintf("/B/e%d", i), 0))
		}}, syncOp())
	}
	return ops
}

// plantCheckpoints brings everything home now and then.
func plantCheckpoints() (ops []crashOp) {
	for i, op := range plantNames() {
		if ops = append(ops, op); i%4 == 3 {
			ops = append(ops, crashOp{name: "checkpoint", run: func(fs *FS) error { return fs.vol.Journal.Checkpoint() }})
		}
	}
	return ops
}

// fillFile writes a file, in pieces that come or do not come as wholes.
func fillFile(name string, fill byte, n int) crashOp {
	return crashOp{name: "write " + name, parts: func(fs *FS, done func() error) error {
		f, err := fs.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return err
		}
		for off := 0; off < n && err == nil; off += 1 << 20 {
			if err = done(); err == nil {
				_, err = f.WriteAt(bytes.Repeat([]byte{fill}, min(n-off, 1<<20)), int64(off))
			}
		}
		return errors.Join(err, f.Close())
	}}
}

func plantWrites() []crashOp {
	return []crashOp{fillFile("/A/foo", 'n', 9000), syncOp(), fillFile("/B/foo", 'm', 20000), syncOp()}
}

// plantReuse frees most of the file system and takes it again, without a commit in between.
func plantReuse() []crashOp {
	const most = 5 << 20
	return []crashOp{fillFile("/A/foo", 'n', most), syncOp(),
		{name: "truncate", run: func(fs *FS) error { return fs.Truncate("/A/foo", 0) }},
		{name: "forget", run: func(fs *FS) error { forgetSpace(fs); return nil }},
		fillFile("/B/foo", 'm', most), syncOp()}
}

// forgetSpace makes the allocator one that has just been opened, so that nothing rests.
func forgetSpace(fs *FS) {
	reflect.ValueOf(fs.vol.Space).Elem().Set(reflect.ValueOf(group.New(fs.vol.Geo, fs.vol.Journal)).Elem())
}

// plantLate truncates a file that nothing has synced yet, and has another one take its blocks.
func plantLate() []crashOp {
	const most = 5 << 20
	return []crashOp{fillFile("/A/foo", 'n', most),
		{name: "truncate", run: func(fs *FS) error { return fs.Truncate("/A/foo", 0) }}, syncOp(),
		fillFile("/B/foo", 'm', most), syncOp()}
}

// plantRevoke has blocks of a directory become blocks of a file while the log still holds them.
func plantRevoke() []crashOp {
	return []crashOp{{name: "grow /A", parts: growDir}, syncOp(), {name: "remove all", parts: removeAll}, syncOp(),
		fillFile("/B/foo", 'm', 5<<20), syncOp()}
}

// plantOrphan deletes a file that is open.
func plantOrphan() []crashOp {
	var f *File
	return []crashOp{
		{name: "open", run: func(fs *FS) (err error) {
			f, err = fs.OpenFile("/A/old", os.O_RDWR, 0)
			return err
		}},
		{name: "unlink", run: func(fs *FS) error { return fs.Remove("/A/old") }}, syncOp(),
		{name: "close", run: func(*FS) error { return f.Close() }}, syncOp(),
	}
}

// TestCrashPlanted plants each defect and counts the states until it is found. Without it none is.
func TestCrashPlanted(t *testing.T) {
	for _, d := range plantedDefects() {
		t.Run(d.name, func(t *testing.T) {
			base := crashBase(t, d.opts...)
			explore := func(planted bool) *explorer {
				x := &explorer{t: t, rnd: rand.New(rand.NewSource(1)), budget: 1000, seen: map[uint64]bool{}}
				ops := d.ops
				if !planted {
					ops = slices.DeleteFunc(slices.Clone(ops), func(o crashOp) bool { return o.name == "forget" })
				}
				tr, err := runWorkload(base, ops)
				must(t, err)
				if planted {
					x.before = d.before
					if d.trace != nil {
						d.trace(newSorter(t, base), tr.trace)
					}
				}
				x.explore(tr, 60)
				return x
			}
			x := explore(true)
			if len(x.failed) == 0 {
				t.Fatalf("not found in %d states", x.states)
			}
			t.Logf("found; %d of %d states: %.200s", len(x.failed), x.states, x.failed[0])
			if x = explore(false); len(x.failed) > 0 {
				t.Errorf("found without it: %s", x.failed[0])
			}
		})
	}
}
