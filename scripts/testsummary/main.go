// Command testsummary reads the output of go test -json and prints a summary: the output of failed tests, a line per
// package, every skipped test with its reason, and the totals as the last line.
//
// The exit status is 1 if a test failed, a package did not build, or nothing ran. It is also 1 if
// EXT4IMG_REQUIRE_JUDGES is set and a test was skipped because an outside judge is missing that the machine should
// have.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

// event is one line of go test -json, see go doc test2json.
type event struct {
	Action      string
	Package     string
	Test        string
	ImportPath  string // of build output
	Output      string
	Elapsed     float64
	FailedBuild string
}

type testID struct{ pkg, name string }

type skip struct {
	testID
	reason string
}

// summary is what has been read so far.
type summary struct {
	out            io.Writer
	output         map[testID][]string
	failedIn       map[string]bool // packages with a failed test
	passed, failed int
	skipped        []skip
}

const judgeMissing = "judge missing: "

func main() {
	s := newSummary(os.Stdout)
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
		os.Exit(2)
	}
	missing := s.finish(os.Getenv("EXT4IMG_REQUIRE_JUDGES") != "", os.Geteuid() == 0)
	if s.failed > 0 || missing || s.passed+len(s.skipped) == 0 {
		os.Exit(1)
	}
}

func newSummary(out io.Writer) *summary {
	return &summary{out: out, output: make(map[testID][]string), failedIn: make(map[string]bool)}
}

func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil {
				fmt.Fprint(s.out, line) // not JSON: output of go itself
			} else {
				s.add(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) add(e event) {
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "output":
		s.output[id] = append(s.output[id], e.Output)
	case "build-output":
		fmt.Fprint(s.out, e.Output)
	case "pass":
		if e.Test == "" {
			fmt.Fprintf(s.out, "ok    %-40s %7.1fs\n", e.Package, e.Elapsed)
		} else {
			s.passed++
		}
		delete(s.output, id)
	case "skip":
		if e.Test != "" {
			s.skipped = append(s.skipped, skip{id, reason(s.output[id])})
		}
		delete(s.output, id)
	case "fail":
		s.fail(e, id)
	}
}

// fail counts a failed test, or a package that failed without one: it did not build, crashed or timed out.
func (s *summary) fail(e event, id testID) {
	fmt.Fprint(s.out, strings.Join(s.output[id], ""))
	delete(s.output, id)
	if e.Test != "" {
		s.failed++
		s.failedIn[e.Package] = true
		return
	}
	fmt.Fprintf(s.out, "FAIL  %-40s %7.1fs\n", e.Package, e.Elapsed)
	if s.unfinished(e.Package) || !s.failedIn[e.Package] {
		s.failed++
	}
}

// unfinished prints the output of the package's tests that never ended, and reports whether there are any.
func (s *summary) unfinished(pkg string) (found bool) {
	for id, lines := range s.output {
		if id.pkg == pkg && id.name != "" {
			fmt.Fprint(s.out, strings.Join(lines, ""))
			delete(s.output, id)
			found = true
		}
	}
	return found
}

// reason is the text of t.Skip: the output line that is neither a "===" nor a "---" line, without its position.
func reason(output []string) string {
	for _, line := range output {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "===") || strings.HasPrefix(line, "---") || line == "" {
			continue
		}
		if _, after, ok := strings.Cut(line, ".go:"); ok {
			if _, text, ok := strings.Cut(after, ": "); ok {
				return text
			}
		}
		return line
	}
	return "no reason given"
}

// finish prints the skips and the totals. It reports whether a judge is missing that the machine should have.
func (s *summary) finish(require, root bool) (missing bool) {
	sort.Slice(s.skipped, func(i, j int) bool {
		a, b := s.skipped[i], s.skipped[j]
		if a.reason != b.reason {
			return a.reason < b.reason
		}
		return a.pkg+a.name < b.pkg+b.name
	})
	if len(s.skipped) > 0 {
		fmt.Fprintln(s.out, "\nSkipped:")
	}
	for _, k := range s.skipped {
		fmt.Fprintf(s.out, "  %s: %s %s\n", k.reason, k.pkg, k.name)
	}
	if require {
		missing = s.requireJudges(root)
	}
	fmt.Fprintf(s.out, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, len(s.skipped))
	return missing
}

// requireJudges returns the missing judges that the machine should have. Recorded results and the rarer programs are
// not on every machine, and only root can mount.
func (s *summary) requireJudges(root bool) bool {
	optional := []string{"oracles", "fio", "xfs_io", "fuse2fs", "rsync", "mutate", "python", "dmsetup"}
	if !root {
		optional = append(optional, "kernel", "mount", "losetup", "loop", "root")
	}
	found := map[string]bool{}
	for _, k := range s.skipped {
		_, judge, ok := strings.Cut(k.reason, judgeMissing)
		if !ok || found[judge] {
			continue
		}
		expected := true
		for _, o := range optional {
			expected = expected && !strings.HasPrefix(judge, o)
		}
		if expected {
			found[judge] = true
			fmt.Fprintf(s.out, "EXT4IMG_REQUIRE_JUDGES: %s is missing; install it (scripts/dev names the package) or run without that variable\n", judge)
		}
	}
	return len(found) > 0
}
