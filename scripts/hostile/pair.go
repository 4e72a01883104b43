package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ext4img/ext4/layout"
)

// limit is how long an operation may take.
const limit = 10 * time.Second

// worker has a folder and one image file in it, rewritten for each pair where it differs.
type worker struct {
	*campaign
	dir, file string
	now       []byte // what the file holds
}

func (c *campaign) work(i int, numbers <-chan int) {
	w := &worker{campaign: c, dir: filepath.Join(c.dir, fmt.Sprint("worker-", i))}
	w.file = filepath.Join(w.dir, "image")
	err := os.MkdirAll(w.dir, 0o700)
	for n := range numbers {
		if err == nil {
			err = w.mutation(n)
		}
	}
	if err != nil {
		c.mu.Lock()
		c.err = err
		c.mu.Unlock()
	}
}

// write makes the file hold p.
func (w *worker) write(p []byte) error {
	f, err := os.OpenFile(w.file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(int64(len(p))); err != nil {
		return err
	}
	const piece = 1 << 16
	for off := 0; off < len(p); off += piece {
		part := p[off:min(off+piece, len(p))]
		if off+len(part) <= len(w.now) && bytes.Equal(part, w.now[off:off+len(part)]) {
			continue
		}
		if _, err := f.WriteAt(part, int64(off)); err != nil {
			return err
		}
	}
	w.now = p
	return nil
}

// state is what the judges say of the file.
type state struct {
	complaints map[string]int
	said       string
	readable   map[string]seen
}

func (w *worker) judge(paths []path) (s state, err error) {
	if s.complaints, s.said, err = complaints(w.file, filepath.Join(w.dir, "log")); err != nil {
		return s, err
	}
	s.readable, err = readable(w.file, w.dir, paths)
	return s, err
}

func (w *worker) mutation(n int) error {
	base := w.images[n%len(w.images)]
	m := mutate(base, w.seed, n)
	if err := w.write(m.b); err != nil {
		return err
	}
	paths := sample(m)
	before, err := w.judge(paths)
	if err != nil {
		w.mu.Lock()
		w.skipped++
		w.mu.Unlock()
		return nil
	}
	for k := range w.each {
		r := rand.New(rand.NewPCG(w.seed+1, uint64(n*w.each+k)))
		d := drawing{m, paths, r, filepath.Join(w.campaign.dir, "in")}
		if err := w.pair(n, k, m, d.draw(), paths, before); err != nil {
			return err
		}
	}
	return nil
}

// sample leaves most of the names in large directories out.
func sample(m *mutation) (out []path) {
	beside := map[string]int{}
	for _, p := range m.paths {
		dir := filepath.Dir(p.Path)
		if beside[dir]++; beside[dir] <= 20 || beside[dir]%50 == 0 || p.Ino == m.ino {
			out = append(out, p)
		}
	}
	return out
}

// pair runs one operation on one mutation and judges.
func (w *worker) pair(n, k int, m *mutation, o operation, paths []path, before state) error {
	if err := w.write(m.b); err != nil {
		return err
	}
	args := make([]string, len(o.args))
	for i, a := range o.args {
		if args[i] = a; a == "IMAGE" {
			args[i] = w.file
		}
	}
	begin := time.Now()
	stderr, status, err := run(limit, io.Discard, w.program, args...)
	took := time.Since(begin)
	after, readErr := os.ReadFile(w.file)
	if readErr != nil {
		return readErr
	}
	w.now = after
	findings := w.findings(m, o, outcome{stderr, status, err, after}, paths, before)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pairs++
	w.status[status]++
	what := fmt.Sprintf("mutation %d: %s: %s: %s\n  %s", n, m.name, m.class, m.what, o)
	if took > w.slowest {
		w.slowest, w.slow = took, what
	}
	for _, f := range findings {
		w.found++
		w.kinds[f.kind]++
		fmt.Printf("%s\n  status %d: %.300s\n  FOUND %s: %s\n", what, status, strings.TrimSpace(stderr), f.kind, f.detail)
	}
	if w.keep != "" && (len(findings) > 0 || w.only >= 0) {
		name := filepath.Join(w.keep, fmt.Sprintf("%d-%d", n, k))
		if err := os.WriteFile(name+"-before.img", m.b, 0o600); err != nil {
			return err
		}
		return os.WriteFile(name+"-after.img", after, 0o600)
	}
	return nil
}

type outcome struct {
	stderr string
	status int
	err    error
	after  []byte
}

type finding struct{ kind, detail string }

func (w *worker) findings(m *mutation, o operation, out outcome, paths []path, before state) (found []finding) {
	add := func(kind, format string, args ...any) {
		found = append(found, finding{kind, fmt.Sprintf(format, args...)})
	}
	if out.err != nil {
		add("slow", "%v", out.err)
	}
	if out.status < 0 && out.err == nil || strings.Contains(out.stderr, "goroutine ") {
		add("panic", "status %d", out.status)
	}
	if bytes.Equal(out.after, m.b) {
		return found
	}
	refused := out.status != 0 && strings.Contains(out.stderr, ": open: ")
	if o.reads || refused {
		add("refused, but changed", "%s", m.differs(out.after, false))
	} else if out.status != 0 && o.whole && m.s.LastOrphan() == 0 && m.class != "orphan.file" {
		if where := m.differs(out.after, true); where != "" {
			add("failed, but changed", "%s", where)
		}
	}
	after, err := w.judge(paths)
	if err != nil {
		add("judge", "%v", err)
		return found
	}
	codes, asExpected := grown(before.complaints, after.complaints)
	for _, code := range codes {
		add("complaint "+code, "before: %v\n%.1500s", before.complaints, after.said)
	}
	for _, p := range paths {
		was, is := before.readable[p.Path], after.readable[p.Path]
		switch {
		case was.holds == "" || was.holds == is.holds:
		case was.ino < m.g.FirstIno: // the log and the usage change with everything
		case before.complaints[shared] > 0: // what is written to one file is in the other, too
			asExpected++
		case was.ino == m.ino && is.holds != "" && !(o.keeps && out.status != 0): // it is the damaged one, and may reach into what others hold
		case o.touches(p, before) && (out.status == 0 || !o.keeps):
		case is.holds == "":
			add("unreadable", "%s", p.Path)
		default:
			add("content", "%s: %s, before: %s", p.Path, is.holds, was.holds)
		}
	}
	if asExpected > 0 {
		w.mu.Lock()
		w.expected++
		w.mu.Unlock()
	}
	return found
}

// differs gives the first block that the operation changed. Where it may record an error, the superblock and the log are
// left out: there the kernel, too, writes down that and where it found the file system broken.
func (m *mutation) differs(after []byte, record bool) string {
	log := map[layout.Pblk]bool{}
	for _, e := range m.maps[layout.JournalIno] {
		for i := range e.Len {
			log[e.Pblk+layout.Pblk(i)] = true
		}
	}
	super, _ := m.g.SuperLoc()
	size := m.g.BlockSize
	for p := range layout.Pblk(min(len(after), len(m.b)) / size) {
		if record && (log[p] || p == super) {
			continue
		}
		if at := int(p) * size; !bytes.Equal(after[at:at+size], m.b[at:at+size]) {
			return fmt.Sprintf("block %d", p)
		}
	}
	if len(after) != len(m.b) {
		return "the length"
	}
	return ""
}
