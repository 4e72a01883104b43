package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ext4img/aio/simdev"
	"ext4img/ext4/check"
	"ext4img/ext4/layout"
	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

// The crash exploration. A workload runs on a simulated device that records every write and flush. Then, for every
// epoch between two flushes, the device is put into the states that a power cut may leave: all of the epoch's writes
// in every combination when they are few, else seeded samples, whole, torn at sectors and out of order. Each state is
// recovered and compared:
//
//   - the checker finds nothing, and neither does e2fsck in a sample of the states;
//   - the tree is one of those that the workload went through, not older than what was last made durable;
//   - every sector of file data is one that the file had at or after that time: free space was filled with 0xAA before,
//     so that what was never written would show;
//   - recovering again changes nothing.

// crashOp is one step of a workload.
type crashOp struct {
	name  string
	run   func(fs *FS) error
	parts func(fs *FS, done func() error) error // instead of run, for what is many operations in a row: done after each
	sync  bool                                  // everything before it is durable when it returns
}

// crashSnap is the tree at one time: what each path is, and what each file holds.
type crashSnap struct {
	meta  string
	files map[string][]byte
}

// takeSnap reads the whole tree.
func takeSnap(fs *FS) (crashSnap, error) {
	s := crashSnap{files: map[string][]byte{}}
	var b strings.Builder
	var walk func(dir string) error
	walk = func(dir string) error {
		list, err := fs.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range list {
			path := dir + e.Name()
			info, err := fs.Lstat(path)
			if err != nil {
				return err
			}
			st := info.Sys().(*Stat)
			fmt.Fprintf(&b, "%s %d %o %d %d", path, st.Ino, st.Mode, st.Links, st.Size)
			if err := snapXattrs(&b, fs, path); err != nil {
				return err
			}
			switch {
			case info.IsDir():
				if err := walk(path + "/"); err != nil {
					return err
				}
			case info.Mode().IsRegular():
				if s.files[fileKey(path, st)], err = fs.readFile(path); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := walk("/"); err != nil {
		return s, err
	}
	s.meta = b.String()
	return s, nil
}

// snapXattrs adds the attributes of a path.
func snapXattrs(b *strings.Builder, fs *FS, path string) error {
	names, err := fs.Xattrs(path, false)
	for _, name := range names {
		value, e := fs.Xattr(path, name, false)
		fmt.Fprintf(b, " %s=%x", name, value)
		err = errors.Join(err, e)
	}
	b.WriteByte('\n')
	return err
}

// fileKey names a file's content across renames: by its inode.
func fileKey(_ string, st *Stat) string { return strconv.Itoa(int(st.Ino)) }

// crashTrace is a workload that has run.
type crashTrace struct {
	name    string
	trace   *simdev.Trace
	snaps   []crashSnap // before the first step, and after each
	durable []int       // by step: the epoch from which on it is durable; -1 for never
}

// runWorkload runs the steps on a copy of the image.
func runWorkload(base *simdev.Image, ops []crashOp) (*crashTrace, error) {
	dev := simdev.FromImage(base.Clone())
	fs, err := Open(dev, Options{Clock: func() time.Time { return time.Unix(1700000000, 0) }})
	if err != nil {
		return nil, err
	}
	tr := &crashTrace{}
	dev.Record()
	snap := func() error {
		s, err := takeSnap(fs)
		tr.snaps = append(tr.snaps, s)
		return err
	}
	if err := snap(); err != nil {
		return nil, err
	}
	for _, op := range ops {
		tr.name += op.name + "; "
		done := func() error {
			tr.durable = append(tr.durable, -1)
			return snap()
		}
		var err error
		if op.parts != nil {
			err = op.parts(fs, done)
		} else {
			err = op.run(fs)
		}
		if err != nil && !expected(err) {
			return nil, fmt.Errorf("%s%w", tr.name, err)
		}
		if err := done(); err != nil {
			return nil, err
		}
		for i := range tr.durable {
			if op.sync && tr.durable[i] < 0 {
				tr.durable[i] = dev.Epoch()
			}
		}
	}
	tr.trace = dev.Trace()
	return tr, fs.Close()
}

// expected tells whether an error belongs to enumerated sequences, such as the removal of what is not there.
func expected(err error) bool {
	for _, e := range []error{os.ErrNotExist, os.ErrExist, layout.ErrUnsupported, ErrNoXattr, syscall.EOPNOTSUPP, syscall.ENOSPC} {
		if errors.Is(err, e) {
			return true
		}
	}
	return strings.Contains(err.Error(), "not empty") || strings.Contains(err.Error(), "invalid argument") ||
		strings.Contains(err.Error(), "is a directory") || strings.Contains(err.Error(), "not a directory")
}

// oldest is the oldest snapshot that a crash during an epoch may bring back.
func (tr *crashTrace) oldest(epoch int) int {
	for i := len(tr.durable) - 1; i >= 0; i-- {
		if tr.durable[i] >= 0 && tr.durable[i] <= epoch {
			return i + 1
		}
	}
	return 0
}

// explorer counts what it has looked at.
type explorer struct {
	t      *testing.T
	rnd    *rand.Rand
	budget int // states left to explore
	states int
	seen   map[uint64]bool
	judge  int                            // every so many states, e2fsck too; 0 for never
	inner  int                            // every so many states, a crash inside the recovery; 0 for never
	before func(dev *simdev.Device) error // a planted defect of the recovery; nil for none
	failed []string
}

// explore puts the device into the states of every epoch.
func (x *explorer) explore(tr *crashTrace, most int) {
	for e := tr.trace.First; e <= tr.trace.Last && x.budget > 0; e++ {
		for _, pieces := range x.choices(tr.trace.Open(e), most) {
			if x.budget <= 0 {
				return
			}
			dev := tr.trace.State(e, pieces...)
			if h := dev.Hash() ^ uint64(e)<<48; x.seen[h] {
				continue
			} else {
				x.seen[h] = true
			}
			x.states++
			x.budget--
			if err := x.judgeState(tr, e, dev); err != nil {
				x.failed = append(x.failed, fmt.Sprintf("%sepoch %d, %d of %d writes: %v", tr.name, e, len(pieces), len(tr.trace.Open(e)), err))
				if len(x.failed) >= 5 {
					return
				}
			}
		}
	}
}

// choices are the parts of an epoch's writes that may have reached the medium.
func (x *explorer) choices(ws []*simdev.Write, most int) (out [][]simdev.Piece) {
	out = append(out, nil)
	for i := range ws { // every prefix, all but one, only one
		out = append(out, simdev.Wholes(ws[:i+1]), simdev.Wholes(ws[i:i+1]), simdev.Wholes(slices.Concat(ws[:i], ws[i+1:])))
	}
	if len(ws) <= 6 {
		for set := range 1 << len(ws) {
			var pick []*simdev.Write
			for i, w := range ws {
				if set>>i&1 != 0 {
					pick = append(pick, w)
				}
			}
			out = append(out, simdev.Wholes(pick))
		}
	}
	for range min(40, 4*len(ws)) {
		out = append(out, simdev.Random(ws, x.rnd))
	}
	x.rnd.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	if len(out) > most {
		out = out[:most]
	}
	return out
}

// judgeState recovers a state and compares it.
func (x *explorer) judgeState(tr *crashTrace, epoch int, dev *simdev.Device) error {
	var image string
	if x.judge > 0 && x.states%x.judge == 0 && !tornSuperblock(dev) {
		image = filepath.Join(x.t.TempDir(), "state")
		must(x.t, dev.Save(image))
		defer os.Remove(image)
	}
	if x.inner > 0 && x.states%x.inner == 0 {
		if err := x.crashRecovery(tr, epoch, simdev.FromImage(dev.Image().Clone())); err != nil {
			return fmt.Errorf("crash inside recovery: %w", err)
		}
	}
	if x.before != nil {
		if err := x.before(dev); err != nil {
			return err
		}
	}
	got, err := tr.judge(epoch, dev)
	if err != nil {
		return err
	}
	before := dev.Hash()
	again, err := recoverAndSnap(dev)
	if err != nil {
		return fmt.Errorf("second recovery: %w", err)
	}
	if again.meta != got.meta || dev.Hash() != before {
		return errors.New("a second recovery changed something")
	}
	if image == "" {
		return nil
	}
	if err := replayAgrees(x.t, image); err != nil {
		return err
	}
	return e2fsckAgrees(x.t, image)
}

// judge recovers a device and compares it with what is allowed.
func (tr *crashTrace) judge(epoch int, dev *simdev.Device) (crashSnap, error) {
	got, err := recoverAndSnap(dev)
	if err == nil {
		err = tr.allows(epoch, got)
	}
	if err == nil {
		err = checkDevice(dev)
	}
	return got, err
}

// crashRecovery recovers a device, and explores the states that a crash in the middle of that leaves.
func (x *explorer) crashRecovery(tr *crashTrace, epoch int, dev *simdev.Device) error {
	dev.Record()
	if _, err := recoverAndSnap(dev); err != nil {
		return err
	}
	in := dev.Trace()
	for e := in.First; e <= in.Last; e++ {
		for _, pieces := range x.choices(in.Open(e), 6) {
			if x.budget <= 0 {
				return nil
			}
			x.budget--
			x.states++
			if _, err := tr.judge(epoch, in.State(e, pieces...)); err != nil {
				return fmt.Errorf("its epoch %d, %d of %d writes: %w", e, len(pieces), len(in.Open(e)), err)
			}
		}
	}
	return nil
}

// tornSuperblock tells whether the checksum of the superblock is wrong. The format has no answer to that: a kernel
// relies on the disk not to tear it, and refuses it; e2fsck looks for a backup.
func tornSuperblock(dev *simdev.Device) bool {
	p := make([]byte, layout.SuperSize)
	if _, err := dev.ReadAt(p, layout.SuperOffset); err != nil {
		return true
	}
	return layout.Superblock(p).VerifyChecksum() != nil
}

func recoverAndSnap(dev *simdev.Device) (crashSnap, error) {
	fs, err := Open(dev, Options{Clock: func() time.Time { return time.Unix(1700000000, 0) }})
	if err != nil {
		return crashSnap{}, err
	}
	s, err := takeSnap(fs)
	if err != nil {
		return s, err
	}
	return s, fs.Close()
}

func checkDevice(dev *simdev.Device) error {
	r, err := check.Run(dev, check.Options{})
	if err != nil {
		return err
	}
	if r.ExitStatus(false) != 0 {
		return fmt.Errorf("check: %v", r.Problems)
	}
	return nil
}

// orphanFileCleared is what e2fsck says of every orphan file that was in use, when it has dealt with the orphans.
var orphanFileCleared = regexp.MustCompile(`Orphan file \(inode \d+\) block \d+ is not clean\.\nClear\? yes\n`)

// orphanBlocks is what e2fsck 1.47 says of an orphan that it has truncated itself: it does not count the nodes of the
// extent tree that it frees. (Our own recovery of the same state leaves the right count, by our check.)
var orphanBlocks = regexp.MustCompile(`Inode \d+, i_blocks is \d+, should be \d+\.  Fix\? yes\n`)

// e2fsckAgrees lets e2fsck recover an image: it must find nothing to repair beyond that. With bigalloc it cannot truncate
// an orphan (1.47 frees the clusters and leaves them mapped, and then complains of it).
func e2fsckAgrees(t testing.TB, image string) error {
	out, err := judge.Command(t, "e2fsck", "-fy", image).CombinedOutput()
	if bytes.Contains(out, []byte("Truncating orphaned inode")) && hasBigalloc(image) {
		return nil
	}
	if bytes.Contains(out, []byte("Truncating orphaned inode")) {
		out = orphanBlocks.ReplaceAll(out, nil)
	}
	out = orphanFileCleared.ReplaceAll(out, nil)
	if code := cmdExit(err); code > 1 || bytes.Contains(out, []byte("Fix? yes")) || bytes.Contains(out, []byte("Clear? yes")) {
		return fmt.Errorf("e2fsck -fy: %v\n%s", err, out)
	}
	return nil
}

func hasBigalloc(image string) bool {
	p := make([]byte, layout.SuperSize)
	f, err := os.Open(image)
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = f.ReadAt(p, layout.SuperOffset)
	return err == nil && layout.Superblock(p).FeatureROCompat()&layout.ROCompatBigalloc != 0
}

// allows judges a recovered tree.
func (tr *crashTrace) allows(epoch int, got crashSnap) error {
	from := tr.oldest(epoch)
	allowed := tr.snaps[from:]
	i := slices.IndexFunc(allowed, func(s crashSnap) bool { return s.meta == got.meta })
	if i < 0 {
		return fmt.Errorf("the tree is none of %d allowed:\n%swant, oldest\n%snewest\n%s", len(allowed), got.meta, allowed[0].meta, allowed[len(allowed)-1].meta)
	}
	for key, p := range got.files {
		for off := 0; off < len(p); off += simdev.Sector {
			sector := p[off:min(off+simdev.Sector, len(p))]
			if !slices.ContainsFunc(allowed, func(s crashSnap) bool {
				q := s.files[key]
				return off+len(sector) <= len(q) && bytes.Equal(sector, q[off:off+len(sector)])
			}) {
				return fmt.Errorf("inode %s: byte %d reads %x…, which it never was", key, off, sector[:min(8, len(sector))])
			}
		}
	}
	return nil
}

func syncOp() crashOp {
	return crashOp{name: "sync", sync: true, run: func(fs *FS) error { return fs.Sync() }}
}

// crashBudget is how many states a run explores.
func crashBudget() int { return effort.CrashStates(1500, 1500) }

func newExplorer(t *testing.T, budget int) *explorer {
	x := &explorer{t: t, rnd: rand.New(rand.NewSource(int64(effort.Seed(t, 0)))), budget: budget, seen: map[uint64]bool{}}
	if judge.Has("e2fsck") {
		x.judge = 50
	}
	x.inner = 40
	return x
}

func (x *explorer) finish() {
	x.t.Helper()
	x.t.Logf("%d crash states explored, %d violations", x.states, len(x.failed))
	for _, f := range x.failed {
		x.t.Error(f)
	}
}

// TestCrashSequences explores every sequence of one and of two operations, synced in between and after or only after;
// with a small budget, a sample of them.
func TestCrashSequences(t *testing.T) {
	x := newExplorer(t, crashBudget())
	bases := crashBases(t)
	alphabet := crashAlphabet()
	var sequences [][]crashOp
	for _, a := range alphabet {
		sequences = append(sequences, []crashOp{a, syncOp()})
		for _, b := range alphabet {
			sequences = append(sequences, []crashOp{a, syncOp(), b, syncOp()}, []crashOp{a, b, syncOp()})
		}
	}
	x.rnd.Shuffle(len(sequences), func(i, j int) { sequences[i], sequences[j] = sequences[j], sequences[i] })
	share := max(x.budget/len(sequences), 12)
	for i, ops := range sequences {
		if x.budget <= 0 || len(x.failed) >= 5 {
			break
		}
		tr, err := runWorkload(bases[i%len(bases)], ops)
		if err != nil {
			t.Fatal(err)
		}
		x.explore(tr, max(share-8, 4))
	}
	x.finish()
}

// TestCrashRandom explores longer random sequences, in which blocks are freed, reused and synced again and again.
func TestCrashRandom(t *testing.T) {
	x := newExplorer(t, crashBudget())
	bases := crashBases(t)
	alphabet := crashAlphabet()
	for x.budget > 0 && len(x.failed) < 5 {
		var ops []crashOp
		for range 12 {
			ops = append(ops, alphabet[x.rnd.Intn(len(alphabet))])
			if x.rnd.Intn(3) == 0 {
				ops = append(ops, syncOp())
			}
		}
		tr, err := runWorkload(bases[x.rnd.Intn(len(bases))], append(ops, syncOp()))
		if err != nil {
			t.Fatal(err)
		}
		x.explore(tr, 30)
	}
	x.finish()
}
