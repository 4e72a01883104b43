package ext4

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"ext4img/aio"
	"ext4img/ext4/check"
	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

// killEnv makes the test binary the process that is killed: it names the image and the seed.
const killEnv = "EXT4IMG_KILL_CHILD"

const (
	killBlocks = 64 << 20 / 4096
	killRound  = 256 // writes between two syncs
)

func TestMain(m *testing.M) {
	if img := os.Getenv(killEnv); img != "" {
		if err := killChild(img); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// killOrder is the order of the writes of one round of the test.
func killOrder(seed uint64) []int { return rand.New(rand.NewPCG(seed, 1)).Perm(killBlocks) }

// killChild writes stamped blocks at depth 32 until it is killed, and prints after each sync how many are durable.
func killChild(img string) error {
	seed, err := strconv.ParseUint(os.Getenv(killEnv+"_SEED"), 10, 64)
	if err != nil {
		return err
	}
	dev, err := aio.Open(img, aio.Options{Write: true})
	if err != nil {
		return err
	}
	fs, err := Open(dev, Options{})
	if err != nil {
		return err
	}
	f, err := fs.Create(fmt.Sprintf("/db%d", seed%3), Attr{Perm: 0o644})
	if err != nil {
		return err
	}
	if err := f.Fallocate(0, 0, killBlocks*4096); err != nil {
		return err
	}
	order := killOrder(seed)
	for done := 0; done < len(order); done += killRound {
		if err := writeStamped(fs, f, order[done:min(done+killRound, len(order))], seed); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		fmt.Println(min(done+killRound, len(order)))
	}
	return fs.Close()
}

// TestKill kills a process that writes, at random moments. Each time e2fsck -fy on a copy finds nothing to repair
// beyond the recovery, verify on the original finds nothing, and every block that was synced is there.
func TestKill(t *testing.T) {
	rounds := 4
	if effort.Long() {
		rounds = 20
	}
	if testing.Short() {
		rounds = 1
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	img := newImage(t, "512M", "-t", "ext4")
	for round := range rounds {
		run := rnd.Uint64()
		synced := killOnce(t, img, run, time.Duration(100+rnd.IntN(1500))*time.Millisecond)
		t.Logf("round %d: %d writes synced", round, synced)
		judgeCopy(t, img)
		verifyDirty(t, img)
		fs, dev := openImage(t, img, Options{})
		checkStamps(t, fs, run, synced)
		closeImage(t, fs, dev)
		fsckClean(t, img)
	}
}

// killOnce runs the child for some time and returns what it said was durable.
func killOnce(t *testing.T, img string, run uint64, after time.Duration) (synced int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killEnv+"="+img, fmt.Sprintf("%s_SEED=%d", killEnv, run))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	for s := bufio.NewScanner(out); s.Scan(); {
		if n, err := strconv.Atoi(s.Text()); err == nil {
			synced = n
		}
	}
	_ = cmd.Wait() // it was killed
	return synced
}

// judgeCopy has e2fsck recover a copy. Beyond the journal and the orphans there must be nothing to do.
func judgeCopy(t *testing.T, img string) {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy")
	judge.Run(t, "cp", "--sparse=always", img, copied)
	defer os.Remove(copied)
	out, err := judge.Command(t, "e2fsck", "-fy", copied).CombinedOutput()
	if code := cmdExit(err); code > 1 {
		t.Fatalf("e2fsck -fy: %v\n%s", err, out)
	}
	if bytes.Contains(out, []byte("Fix? yes")) || bytes.Contains(out, []byte("Clear? yes")) {
		t.Fatalf("e2fsck repaired more than a recovery:\n%s", out)
	}
	fsckClean(t, copied)
}

func cmdExit(err error) int {
	if e, ok := err.(*exec.ExitError); ok {
		return e.ExitCode()
	}
	return 0
}

// verifyDirty checks the image as it is, recovered in memory.
func verifyDirty(t *testing.T, img string) {
	t.Helper()
	dev, err := aio.Open(img, aio.Options{})
	must(t, err)
	defer dev.Close()
	r, err := check.Run(dev, check.Options{})
	must(t, err)
	if status := r.ExitStatus(false); status != 0 {
		t.Fatalf("verify: %d: %v", status, r.Problems)
	}
}

// checkStamps compares every block with what a killed run may have left: what it synced is there; what it did not is
// there or reads as zeros.
func checkStamps(t *testing.T, fs *FS, run uint64, synced int) {
	t.Helper()
	if synced == 0 {
		return // the file may be as an earlier run left it
	}
	all, err := fs.readFile(fmt.Sprintf("/db%d", run%3))
	must(t, err)
	if len(all) != killBlocks*4096 {
		t.Fatalf("the file has %d bytes", len(all))
	}
	want, zero := make([]byte, 4096), make([]byte, 4096)
	for i, b := range killOrder(run) {
		got := all[b*4096 : (b+1)*4096]
		stamp(want, run, uint64(b))
		if !bytes.Equal(got, want) && (i < synced || !bytes.Equal(got, zero)) {
			t.Fatalf("block %d, write %d with %d synced: reads %x…, want %x…", b, i, synced, got[:16], want[:16])
		}
	}
}
