package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ext4img/aio"
	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
	"ext4img/testimages"
	"ext4img/testimages/judge"
)

// run checks a device; the check itself must return no error.
func run(t testing.TB, dev aio.Device) *Report {
	t.Helper()
	r, err := Run(dev, Options{MaxPerCode: 20})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// summary returns a report in one line.
func summary(r *Report) string {
	s := fmt.Sprintf("%d problems", len(r.Problems))
	if r.Fatal != nil {
		s = fmt.Sprintf("cannot be checked (%v), ", r.Fatal) + s
	}
	for i, p := range r.Problems {
		if i == 5 {
			return s + "; ..."
		}
		s += fmt.Sprintf("; %s (%s): %s", p.Code, p.Severity, p.Message)
	}
	return s
}

// load makes a device with a copy of a test image.
func load(t testing.TB, name string) *simdev.Device {
	t.Helper()
	return device(t, testimages.Bytes(t, name))
}

func device(t testing.TB, p []byte) *simdev.Device {
	t.Helper()
	dev := simdev.New(int64(len(p)))
	if _, err := dev.WriteAt(p, 0); err != nil {
		t.Fatal(err)
	}
	if err := dev.Flush(); err != nil {
		t.Fatal(err)
	}
	return dev
}

// e2fsck returns the exit status of e2fsck -fn for a device's content.
func e2fsck(t *testing.T, dev *simdev.Device) int {
	t.Helper()
	status, _ := e2fsckSays(t, dev)
	return status
}

// e2fsckSays returns the exit status of e2fsck -fn and its output.
func e2fsckSays(t *testing.T, dev *simdev.Device) (int, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := dev.Save(path); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	out, err := judge.Command(t, "e2fsck", "-fn", path).CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), string(out)
	} else if err != nil {
		t.Fatal(err)
	}
	return 0, string(out)
}

func TestHealthyImagesAreClean(t *testing.T) {
	for _, m := range testimages.All(t) {
		if strings.HasPrefix(m.Name, "disk-") { // the checker does not look for partitions
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			dev := load(t, m.Name)
			r := run(t, dev)
			for _, like := range []bool{false, true} {
				if got := r.ExitStatus(like); got != ExitClean {
					t.Errorf("status %d: %s", got, summary(r))
				}
			}
			if !r.Clean() || r.Directories == 0 || r.BlocksUsed == 0 || r.Inodes < r.Files+r.Directories {
				t.Errorf("%d files, %d directories, %d inodes, %d blocks", r.Files, r.Directories, r.Inodes, r.BlocksUsed)
			}
			dirty := m.Name == "dirty"
			if dirty != (r.Recovered != nil) {
				t.Errorf("recovered: %+v", r.Recovered)
			}
			want := fmt.Sprintf("%d/%d blocks", r.BlocksUsed, r.Blocks)
			if status, out := e2fsckSays(t, dev); status != 0 || !dirty && !strings.Contains(out, want) {
				t.Errorf("blocks in use: %s; e2fsck ends with %d: %s", want, status, out)
			}
		})
	}
}

func TestNothingIsWritten(t *testing.T) {
	for _, name := range []string{"default-4k", "dirty"} {
		dev := load(t, name)
		before := dev.Image().Hash()
		run(t, dev)
		if dev.Image().Hash() != before {
			t.Errorf("%s: the device was changed", name)
		}
	}
}

func TestExitStatus(t *testing.T) {
	for _, c := range []struct {
		code         Code
		fatal        error
		strict, like int
	}{
		{"", nil, 0, 0},
		{"", errors.New("no file system"), 8, 8},
		{codeDirHole, nil, 4, 4},
		{codeDirHole, errors.New("no file system"), 4, 4},
		{codeEntryTypeMissing, nil, 4, 0},
		{codeDotLong, nil, 0, 0},
	} {
		r := &Report{Counts: map[Code]int{}, Fatal: c.fatal}
		if c.code != "" {
			r.Counts[c.code]++
		}
		if got := r.ExitStatus(false); got != c.strict {
			t.Errorf("%q, %v: status %d, want %d", c.code, c.fatal, got, c.strict)
		}
		if got := r.ExitStatus(true); got != c.like {
			t.Errorf("%q, %v, like e2fsck: status %d, want %d", c.code, c.fatal, got, c.like)
		}
	}
}

func TestExitStatusWhereE2fsckGivesUp(t *testing.T) {
	r := &Report{Counts: map[Code]int{codeDirHole: 1}, GivesUp: true}
	if strict, like := r.ExitStatus(false), r.ExitStatus(true); strict != ExitProblems || like != ExitCannotCheck {
		t.Errorf("status %d, like e2fsck %d", strict, like)
	}
}

func TestReportBoundsAndOrder(t *testing.T) {
	r := newReporter(2)
	for i := range 5 {
		r.add(codeDirHole, inodeAt(layout.Ino(20-i)).block(int64(i), 0))
	}
	r.add(codeBlockClaimedTwice, inodeAt(30))
	got := r.sorted()
	if len(got) != 3 || r.counts[codeDirHole] != 5 {
		t.Fatalf("%d problems, %d counted", len(got), r.counts[codeDirHole])
	}
	if got[0].Pass != 1 || got[1].Inode != 19 || got[2].Inode != 20 {
		t.Errorf("order: %+v", got)
	}
	p, err := json.Marshal(got[2])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"code":"directory-hole","message":"inode 20: logical block 0: a hole in a directory","inode":20,"logical":0,"severity":"error","pass":2}`
	if string(p) != want {
		t.Errorf("JSON %s, want %s", p, want)
	}
}

func TestContextEndsTheCheck(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(load(t, "default-4k"), Options{Context: ctx}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestProgress(t *testing.T) {
	last, passes := map[int][2]uint64{}, map[int]bool{}
	_, err := Run(load(t, "default-4k"), Options{Progress: func(pass int, done, total uint64) {
		if done < last[pass][0] || done > total {
			t.Errorf("pass %d: %d of %d after %d", pass, done, total, last[pass][0])
		}
		last[pass], passes[pass] = [2]uint64{done, total}, true
	}})
	if err != nil {
		t.Fatal(err)
	}
	for pass := 1; pass <= 5; pass++ {
		if !passes[pass] {
			t.Errorf("pass %d: no progress", pass)
		}
	}
}

// codesMarkdown is the list of codes in the form of CODES.md.
func codesMarkdown() string {
	var s strings.Builder
	s.WriteString("# Codes of `ext4img verify`\n\nAn *error* is what makes `e2fsck -fn` say that errors are left. An *extra* is wrong too, but `e2fsck -fn` does not look at it\n" +
		"or does not hold it against the file system; `--like-e2fsck` leaves it out of the exit status. A *note* never counts.\n" +
		"Where `e2fsck -fn` gives up with nothing said against the file system, its status is 8, and so is ours with `--like-e2fsck`.\n\n" +
		"| pass | code | severity | meaning |\n|---|---|---|---|\n")
	for _, k := range codeTable {
		fmt.Fprintf(&s, "| %d | `%s` | %s | %s |\n", k.pass, k.code, k.severity, k.text)
	}
	return s.String()
}

func TestCodesAreDocumented(t *testing.T) {
	p, err := os.ReadFile("CODES.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := codesMarkdown(); string(p) != want {
		path := filepath.Join(t.ArtifactDir(), "CODES.md")
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Errorf("CODES.md is not what codesMarkdown gives: see %s (go test -artifacts)", path)
	}
	seen := map[Code]bool{}
	for _, c := range Codes() {
		if seen[c] || c.Text() == "" {
			t.Errorf("code %q: twice, or without a text", c)
		}
		seen[c] = true
	}
}
