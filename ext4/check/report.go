package check

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"ext4img/ext4/layout"
)

// A Problem is one thing that is wrong, and its place. Fields that do not apply are absent.
type Problem struct {
	Code     Code          `json:"code"`
	Message  string        `json:"message"`
	Inode    layout.Ino    `json:"inode,omitempty"`
	Logical  *uint64       `json:"logical,omitempty"`  // block within the inode
	Physical *uint64       `json:"physical,omitempty"` // block of the file system
	Group    *layout.Group `json:"group,omitempty"`
	Got      any           `json:"got,omitempty"`
	Want     any           `json:"want,omitempty"`
	Severity Severity      `json:"severity"`
	Pass     int           `json:"pass"`
}

// A Report is the outcome of a check.
type Report struct {
	Problems    []Problem    // ordered by pass, code and place; at most Options.MaxPerCode of one code
	Counts      map[Code]int // the number of problems of each code, including those not listed
	Fatal       error        // why the check could not be completed; nil when it was
	GivesUp     bool         // e2fsck -fn would not complete its check
	Recovered   *Recovered   // what was recovered in memory first; nil for an image that needed none
	Files       uint64       // regular files, links counted once
	Directories uint64
	Inodes      uint64 // in use, of all types
	BlocksUsed  uint64 // file system blocks in use, metadata included
	Blocks      uint64
	BlockSize   int
}

// Recovered describes the recovery of the journal in memory.
type Recovered struct {
	Transactions int // replayed
	Blocks       int
	Orphans      int // inodes that wait for removal or truncation
}

// Exit statuses, as fsck(8) has them.
const (
	ExitClean       = 0
	ExitProblems    = 4
	ExitCannotCheck = 8
)

// Clean reports whether the check was completed and found nothing wrong; notes do not count.
func (r *Report) Clean() bool { return r.ExitStatus(false) == ExitClean }

// ExitStatus is the status for the shell: 0 clean, 4 problems, 8 could not be checked. With likeE2fsck, only problems
// count that make e2fsck -fn report errors.
func (r *Report) ExitStatus(likeE2fsck bool) int {
	if likeE2fsck && r.GivesUp {
		return ExitCannotCheck
	}
	extra := false
	for code := range r.Counts {
		switch code.Severity() {
		case Error:
			return ExitProblems
		case Extra:
			extra = true
		}
	}
	switch {
	case r.Fatal != nil:
		return ExitCannotCheck
	case extra && !likeE2fsck:
		return ExitProblems
	}
	return ExitClean
}

// reporter collects problems; any goroutine may add one.
type reporter struct {
	mu       sync.Mutex
	max      int
	problems []Problem
	counts   map[Code]int

	// Pass 1 visits the inodes in any order, e2fsck by their numbers. These fields say which event comes first in
	// e2fsck.
	firstError layout.Ino // lowest inode with an error
	firstEnd   layout.Ino // lowest inode at which e2fsck ends
	givesUp    bool
}

// noIno is larger than every inode number.
const noIno = ^layout.Ino(0)

func newReporter(max int) *reporter {
	return &reporter{max: max, counts: map[Code]int{}, firstError: noIno, firstEnd: noIno}
}

// endsAt records that e2fsck -fn ends in pass 1 at inode ino, or before the first inode if ino is 0.
func (r *reporter) endsAt(ino layout.Ino) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.firstEnd = min(r.firstEnd, ino)
}

// endInodes decides, after all inodes were seen, whether e2fsck gives up: it does if it found no error before the
// inode at which it ends. If it found one, it reports that error and its exit status says so.
func (r *reporter) endInodes() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.givesUp = r.firstEnd != noIno && r.firstEnd <= r.firstError
}

// endsHere records that e2fsck -fn ends at the current point of the check.
func (r *reporter) endsHere() {
	errors := r.hasErrors()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.givesUp = r.givesUp || !errors
}

// at is the place of a problem, with the values found and expected there.
type at struct {
	ino       layout.Ino
	lblk      int64 // -1: none
	pblk      uint64
	group     int64 // -1: none
	got, want any
	note      string // appended to the text of the code
}

// inodeAt is the place of a problem that concerns an inode as a whole.
func inodeAt(ino layout.Ino) at { return at{ino: ino, lblk: -1, group: -1} }

// groupAt is the place of a problem that concerns a group.
func groupAt(g uint32) at { return at{lblk: -1, group: int64(g)} }

// superAt is the place of a problem that concerns the whole file system.
func superAt() at { return at{lblk: -1, group: -1} }

func (a at) block(lblk int64, pblk uint64) at { a.lblk, a.pblk = lblk, pblk; return a }
func (a at) inGroup(i int) at                 { a.group = int64(i); return a }
func (a at) values(got, want any) at          { a.got, a.want = got, want; return a }
func (a at) say(format string, args ...any) at {
	a.note = fmt.Sprintf(format, args...)
	return a
}

// add records a problem.
func (r *reporter) add(code Code, a at) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[code]++
	if code.Severity() == Error {
		r.firstError = min(r.firstError, pick(code.Pass() == 0, 0, a.ino))
	}
	if r.counts[code] > r.max {
		return
	}
	p := Problem{Code: code, Inode: a.ino, Got: a.got, Want: a.want, Severity: code.Severity(), Pass: code.Pass()}
	if a.lblk >= 0 {
		l := uint64(a.lblk)
		p.Logical = &l
	}
	if a.pblk != 0 {
		b := a.pblk
		p.Physical = &b
	}
	if a.group >= 0 {
		g := layout.Group(a.group)
		p.Group = &g
	}
	p.Message = a.message(code)
	r.problems = append(r.problems, p)
}

// message is the place, the text of the code, and the values.
func (a at) message(code Code) string {
	s := ""
	if a.group >= 0 {
		s = fmt.Sprintf("group %d: ", a.group)
	}
	if a.ino != 0 {
		s += fmt.Sprintf("inode %d: ", a.ino)
	}
	if a.lblk >= 0 {
		s += fmt.Sprintf("logical block %d: ", a.lblk)
	}
	if a.pblk != 0 {
		s += fmt.Sprintf("block %d: ", a.pblk)
	}
	s += code.Text()
	if a.note != "" {
		s += ": " + a.note
	}
	switch {
	case a.got != nil && a.want != nil:
		s += fmt.Sprintf(": %v, want %v", a.got, a.want)
	case a.got != nil:
		s += fmt.Sprintf(": %v", a.got)
	}
	return s
}

// hasErrors reports whether a problem of severity Error was found.
func (r *reporter) hasErrors() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for code := range r.counts {
		if code.Severity() == Error {
			return true
		}
	}
	return false
}

// sorted returns the problems in an order that does not depend on the scheduling of goroutines.
func (r *reporter) sorted() []Problem {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Pass, b.Pass), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Inode, b.Inode),
			cmp.Compare(groupOrZero(a), groupOrZero(b)), cmp.Compare(orZero(a.Logical), orZero(b.Logical)),
			cmp.Compare(orZero(a.Physical), orZero(b.Physical)), cmp.Compare(a.Message, b.Message))
	})
	return r.problems
}

func orZero(p *uint64) uint64 {
	if p == nil {
		return 0
	}
	return *p
}

func groupOrZero(p Problem) layout.Group {
	if p.Group == nil {
		return 0
	}
	return *p.Group
}
