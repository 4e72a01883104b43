package check

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ext4img/aio/simdev"
)

// oracles is the folder of images whose verdict is known.
func oracles(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("EXT4IMG_ORACLES")
	if dir == "" {
		dir = "../../../shared/oracles"
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("judge missing: oracles")
	}
	return dir
}

// unpack reads a gzip file into a device.
func unpack(t *testing.T, path string) *simdev.Device {
	t.Helper()
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	end := make([]byte, 4) // the file ends with the length
	st, err := in.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.ReadAt(end, st.Size()-4); err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bufio.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	dev := simdev.New(int64(le.Uint32(end)))
	p, zero := make([]byte, 64<<10), make([]byte, 64<<10)
	for off := int64(0); ; {
		n, err := io.ReadFull(z, p)
		if n > 0 && !bytes.Equal(p[:n], zero[:n]) {
			if _, err := dev.WriteAt(p[:n], off); err != nil {
				t.Fatal(err)
			}
		}
		off += int64(n)
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			return dev
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// A verdict is one line of the table of e2fsck's verdicts.
type verdict struct {
	name, verdict, status string // status: after recovery, if there is a log to recover
	recovered, crashed    bool   // crashed: e2fsck itself crashed
}

// crash is what the messages of e2fsck look like when it crashes.
var crash = regexp.MustCompile(`Signal \(|double free`)

func readVerdicts(t *testing.T, path string) []verdict {
	t.Helper()
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []verdict
	for i, line := range strings.Split(strings.TrimSpace(string(p)), "\n") {
		col := strings.Split(line, "\t")
		if i == 0 || len(col) < 4 {
			continue
		}
		v := verdict{name: col[0], verdict: col[1], status: col[2], crashed: crash.MatchString(line)}
		if col[3] != "-" && col[3] != "" {
			v.status, v.recovered = col[3], true
		}
		all = append(all, v)
	}
	return all
}

// allowed returns the exit statuses that agree with a verdict.
func (v verdict) allowed() []int {
	switch {
	case v.crashed:
		return []int{ExitProblems, ExitCannotCheck}
	case v.recovered && v.status == "0":
		return []int{ExitClean}
	case v.recovered:
		return []int{ExitProblems, ExitCannotCheck}
	}
	switch v.verdict {
	case "clean":
		return []int{ExitClean}
	case "benign":
		return []int{ExitClean, ExitProblems}
	case "corrupt":
		return []int{ExitProblems}
	case "fatal":
		return []int{ExitCannotCheck}
	}
	return []int{ExitClean, ExitProblems, ExitCannotCheck} // it timed out
}

// exceptions are images on which the check deliberately differs from the table, with the reason.
var exceptions = map[string]struct {
	want int
	why  string
}{
	"f_clear_orphan_file": {ExitClean, "the orphans of the recovered log wait for a mount to remove them; " +
		"e2fsck removes them, and then minds the orphan file's block"},
}

func TestVerdictsOfE2fsck(t *testing.T) {
	dir := filepath.Join(oracles(t), "e2fsprogs")
	all := readVerdicts(t, filepath.Join(dir, "verdict.tsv"))
	if len(all) < 100 {
		t.Fatalf("only %d verdicts", len(all))
	}
	for _, v := range all {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := run(t, unpack(t, filepath.Join(dir, v.name+".img.gz")))
			allowed := v.allowed()
			if e, ok := exceptions[v.name]; ok {
				allowed = []int{e.want}
			}
			if got := r.ExitStatus(true); !slices.Contains(allowed, got) {
				t.Errorf("status %d, want %v: e2fsck says %s; %s", got, allowed, v.verdict, summary(r))
			}
		})
	}
}
