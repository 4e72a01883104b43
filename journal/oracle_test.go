package journal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/testimages/judge"
)

// image is a file system image, with the facts about it that these tests need.
type image struct {
	path  string
	dev   *simdev.Device
	block int
	area  Area
}

var statRange = regexp.MustCompile(`\((\d+)(?:-\d+)?\):(\d+)(?:-(\d+))?`)

// loadImage asks debugfs where the journal is. If journal is given, that file is the external journal.
func loadImage(t *testing.T, path, journal string) *image {
	t.Helper()
	m := &image{path: path}
	m.dev = load(t, path)
	sb := make([]byte, 1024)
	if err := readFull(m.dev, sb, 1024); err != nil {
		t.Fatal(err)
	}
	m.block = 1024 << binary.LittleEndian.Uint32(sb[0x18:])
	m.area = Area{BlockSize: m.block}
	if journal != "" {
		dev := load(t, journal)
		m.area.Device = dev
		m.area.Super = 1
		if m.block == 1024 {
			m.area.Super = 2
		}
		m.area.Blocks = []Run{{0, uint32(dev.Size() / int64(m.block))}}
		return m
	}
	ino := binary.LittleEndian.Uint32(sb[0xE0:])
	for _, r := range statRange.FindAllStringSubmatch(judge.Debugfs(t, path, fmt.Sprintf("stat <%d>", ino), "-c"), -1) {
		from, _ := strconv.ParseUint(r[2], 10, 64)
		to := from
		if r[3] != "" {
			to, _ = strconv.ParseUint(r[3], 10, 64)
		}
		m.area.Blocks = append(m.area.Blocks, Run{from, uint32(to - from + 1)})
	}
	return m
}

func load(t *testing.T, path string) *simdev.Device { return simdev.FromImage(judge.Load(t, path)) }

// dataSum counts and hashes the blocks that differ, as the oracle's data_sha does: without the two superblocks.
func (m *image) dataSum(t *testing.T, before, after *simdev.Device) (int, string) {
	t.Helper()
	skip := map[uint64]bool{uint64(1024 / m.block): true}
	if m.area.Device == nil {
		skip[m.area.Blocks[0].Phys] = true
	}
	h, n := sha256.New(), 0
	old := make([]byte, m.block)
	err := after.Image().Pages(func(off int64, p []byte) error {
		for ; len(p) >= m.block; off, p = off+int64(m.block), p[m.block:] {
			if err := readFull(before, old, off); err != nil {
				return err
			}
			i := uint64(off) / uint64(m.block)
			if !skip[i] && !bytes.Equal(old, p[:m.block]) {
				n++
				_ = binary.Write(h, binary.LittleEndian, i)
				h.Write(p[:m.block])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		return 0, "-"
	}
	return n, hex.EncodeToString(h.Sum(nil))[:16]
}

// TestOracleReplay recovers logs of every format, and compares the blocks that change with those that debugfs
// changes.
func TestOracleReplay(t *testing.T) {
	dir := judge.Oracles(t, "e2fsprogs")
	judge.Need(t, "debugfs")
	f, err := os.Open(filepath.Join(dir, "replay.tsv"))
	if err != nil {
		t.Skip("judge missing: oracles")
	}
	defer f.Close()
	rows := bufio.NewScanner(f)
	for rows.Scan() {
		row := strings.Split(rows.Text(), "\t")
		if row[0] == "name" {
			continue
		}
		t.Run(row[0], func(t *testing.T) { replayOne(t, dir, row[0], row[14]) })
	}
}

// corruptLogs are the logs that recovery must refuse with an error and leave alone.
var corruptLogs = map[string]error{
	"j_corrupt_commit_csum":   ErrCorrupt,
	"j_corrupt_revoke_rcount": ErrCorrupt,
	"j_corrupt_sb_csum":       ErrCorrupt,
	"j_corrupt_sb_magic":      ErrCorrupt,
}

// otherSums replaces recorded sums that depend on more than the log.
var otherSums = map[string]string{
	// The journal device's ext4 superblock has a wrong checksum. The caller must notice that; the log itself is
	// whole.
	"j_corrupt_ext_jnl_sb_csum": "c288b25936a958ab",
	// debugfs replays nothing if there are fast commits. This is the sum of the full transaction alone.
	"j_recover_fast_commit": "11fbe60de0a03169",
}

func replayOne(t *testing.T, dir, name, want string) {
	path, journal := judge.Unpack(t, filepath.Join(dir, name+".img.gz")), ""
	for _, ext := range []string{".jnl.gz", ".jnl.img.gz"} {
		if p := filepath.Join(dir, name+ext); exists(p) {
			journal = judge.Unpack(t, p)
		}
	}
	if underRace && strings.HasPrefix(name, "jdump-") {
		t.Skip("slow under the race detector")
	}
	if other := otherSums[name]; other != "" {
		want = other
	}
	m := loadImage(t, path, journal)
	before := load(t, path)
	rec, err := Recover(m.dev, m.area)
	if wantErr := corruptLogs[name]; !errors.Is(err, wantErr) {
		t.Errorf("Recover: %v, want %v", err, wantErr)
	}
	if err != nil {
		t.Log(err)
		if m.dev.Hash() != before.Hash() {
			t.Error("a log that was not recovered has changed the image")
		}
	} else {
		t.Logf("%d transactions, %d blocks, %d revoked, %d fast commits", rec.Transactions, rec.Blocks, rec.Revoked, len(rec.Fast))
	}
	if p := os.Getenv("EXT4IMG_KEEP"); p != "" {
		_ = m.dev.Save(filepath.Join(p, name+".img"))
	}
	if n, got := m.dataSum(t, before, m.dev); got != want {
		t.Errorf("%d blocks changed, sum %s, want %s", n, got, want)
	}
	if err == nil && len(rec.Fast) == 0 {
		if again, err := Recover(m.dev, m.area); err != nil || again.Transactions != 0 {
			t.Errorf("second recovery: %+v, %v", again, err)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
