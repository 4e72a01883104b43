package journal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ext4img/aio/block"
	"ext4img/aio/simdev"
	"ext4img/journal/buf"
	"ext4img/testimages/judge"
)

// raw is a block without a checksum of its own.
type raw struct{}

func (raw) String() string      { return "raw block" }
func (raw) Verify([]byte) error { return nil }
func (raw) Check([]byte) error  { return nil }
func (raw) Seal([]byte)         {}

// TestJudgeOurLog writes logs into file systems made by mke2fs and crashes. e2fsck and debugfs must recover the same
// as we do.
func TestJudgeOurLog(t *testing.T) {
	judge.Need(t, "mke2fs", "e2fsck", "debugfs")
	for _, f := range []struct {
		name     string
		args     string
		features Features
	}{
		{"default 4k", "-t ext4 -b 4096", FeatureCsumV3 | Feature64Bit},
		{"default 1k", "-t ext4 -b 1024", FeatureCsumV3 | Feature64Bit},
		{"2k without checksums", "-t ext4 -b 2048 -O ^metadata_csum,^64bit", 0},
		{"64bit without checksums", "-t ext4 -b 4096 -O ^metadata_csum,64bit", Feature64Bit},
		{"ext3", "-t ext3 -b 1024", 0},
		{"fast commit area", "-t ext4 -b 4096 -O fast_commit", FeatureCsumV3 | Feature64Bit},
	} {
		t.Run(f.name, func(t *testing.T) { judgeLog(t, f.args, f.features) })
	}
}

func judgeLog(t *testing.T, args string, features Features) {
	dir := t.TempDir()
	path := judge.Mke2fs(t, "64M", append(strings.Fields(args), "-J", "size=8")...)
	free := freeBlocks(t, path, 60)
	m := loadImage(t, path, "")
	r := &rig{t: t, dev: m.dev, cfg: Config{
		Device: m.dev, BlockSize: m.block, Blocks: uint64(m.dev.Size()) / uint64(m.block), Log: &m.area, Features: features,
		Activate: func() error { return needsRecovery(m.dev, features&FeatureCsumV3 != 0) },
	}}
	r.open()
	ref := func(i int) buf.Ref { return buf.Ref{Block: free[i], Len: m.block, Type: raw{}} }
	put := func(v byte, is ...int) {
		h, err := r.Start(len(is))
		r.must(err)
		for _, i := range is {
			p, err := h.Create(ref(i))
			r.must(err)
			for k := range p {
				p[k] = v
			}
			if i%5 == 0 {
				putBE32(p, magic)
			}
		}
		_, err = h.Stop()
		r.must(err)
	}
	for round := range 12 {
		for i := range 5 {
			put(byte(1+round), (round*5+i)%60, (round*3+i)%60)
		}
		if round > 2 {
			h, err := r.Start(1)
			r.must(err)
			h.Revoke(free[round])
			h.Revoke(free[round+20])
			_, err = h.Stop()
			r.must(err)
		}
		r.must(r.CommitAll())
		if round == 4 {
			r.must(r.Checkpoint())
		}
	}
	put(99, 1, 2, 3) // not committed
	for _, state := range []string{"whole", "torn"} {
		t.Run(state, func(t *testing.T) {
			crashed := m.dev
			if state == "torn" {
				crashed = m.dev.Crash()
			}
			compareRecovery(t, dir, crashed, m, free)
		})
	}
}

// compareRecovery recovers the image here, by e2fsck and by debugfs, and compares the blocks.
func compareRecovery(t *testing.T, dir string, crashed *simdev.Device, m *image, blocks []uint64) {
	t.Helper()
	dirty := filepath.Join(dir, "dirty")
	if err := crashed.Save(dirty); err != nil {
		t.Fatal(err)
	}
	ours := load(t, dirty)
	rec, err := Recover(ours, m.area)
	if err != nil {
		t.Fatal(err)
	}
	if rec.Transactions != 7 || rec.Revoked == 0 {
		t.Errorf("%+v", rec)
	}
	for _, tool := range [][]string{{"e2fsck", "-y", "-E", "journal_only"}, {"debugfs", "-w", "-R", "jr"}} {
		theirs := filepath.Join(dir, tool[0])
		if err := crashed.Save(theirs); err != nil {
			t.Fatal(err)
		}
		run(t, tool[0], append(tool[1:], theirs)...)
		if tool[0] == "e2fsck" {
			run(t, "e2fsck", "-fn", theirs)
		}
		dev := load(t, theirs)
		a, b := make([]byte, m.block), make([]byte, m.block)
		for _, block := range blocks {
			off := int64(block) * int64(m.block)
			if readFull(ours, a, off) != nil || readFull(dev, b, off) != nil || !bytes.Equal(a, b) {
				t.Errorf("block %d: ours begins with %x, %s's with %x", block, a[:8], tool[0], b[:8])
			}
		}
	}
}

// run runs a program on a file system, with a clock that stands still. e2fsck may exit with the code that says that
// it repaired something.
func run(t *testing.T, tool string, args ...string) string {
	t.Helper()
	cmd := judge.Command(t, tool, args...)
	cmd.Env = append(os.Environ(), "E2FSCK_TIME=1900000000")
	out, err := cmd.CombinedOutput()
	if err != nil && !(tool == "e2fsck" && cmd.ProcessState.ExitCode() == 1) {
		t.Fatalf("%s %s: %v\n%s", tool, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// freeBlocks asks debugfs for n free blocks, in which a test can write without a complaint from e2fsck.
func freeBlocks(t *testing.T, path string, n int) []uint64 {
	t.Helper()
	var blocks []uint64
	for _, f := range strings.Fields(judge.Debugfs(t, path, fmt.Sprintf("ffb %d 5000", n))) {
		var b uint64
		if _, err := fmt.Sscanf(f, "%d", &b); err == nil && b > 1000 {
			blocks = append(blocks, b)
		}
	}
	if len(blocks) < n {
		t.Fatalf("%d free blocks", len(blocks))
	}
	return blocks[:n]
}

// needsRecovery sets the flag in the ext4 superblock, which is the duty of a journal's caller.
func needsRecovery(dev *simdev.Device, sum bool) error {
	return UpdateHome(dev, 1024, buf.Ref{Block: 1, Len: 1024, Type: raw{}}, func(p []byte) error {
		p[0x60] |= 4
		if sum {
			c := block.Crc32c(^uint32(0), p[:0x3FC])
			p[0x3FC], p[0x3FD], p[0x3FE], p[0x3FF] = byte(c), byte(c>>8), byte(c>>16), byte(c>>24)
		}
		return nil
	})
}
