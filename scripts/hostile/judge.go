package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// The judges may be led astray by an image as anybody may: they get so much time, and may write so much into one file.
const (
	judgeTime  = 30 * time.Second
	judgeFile  = "65536"        // blocks of 512 or 1,024 bytes, as the shell counts
	judgeLarge = int64(8) << 20 // larger files are not read
)

var errSlow = errors.New("took too long")

// run runs a program with a limit of time. Its status is -1 where a signal ended it.
func run(limit time.Duration, stdout io.Writer, name string, args ...string) (stderr string, status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var out tail
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = stdout, &out
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC0", "E2FSCK_CONFIG=/dev/null", "DEBUGFS_PAGER=cat")
	err = cmd.Run()
	if ctx.Err() != nil {
		return out.String(), -1, fmt.Errorf("%s: %w", name, errSlow)
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return out.String(), exit.ExitCode(), nil
	}
	return out.String(), 0, err
}

// tail keeps the beginning of what a program says: a broken image may make it say much.
type tail struct{ bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	t.Buffer.Write(p[:min(len(p), max(0, 8<<20-t.Len()))])
	return len(p), nil
}

func limited(name string, args ...string) []string {
	return append([]string{"-c", "ulimit -f " + judgeFile + `; exec "$0" "$@"`, name}, args...)
}

// complaints counts what e2fsck finds, by the codes of its problems. It is an error if it does not end.
func complaints(file, log string) (map[string]int, string, error) {
	os.Remove(log)
	var out tail
	_, _, err := run(judgeTime, &out, "sh", limited("e2fsck", "-fn", "-E", "problem_log="+log, file)...)
	if err != nil {
		return nil, "", err
	}
	p, err := os.ReadFile(log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, "", err
	}
	count := map[string]int{}
	for _, code := range problemCode.FindAllSubmatch(p, -1) {
		count[string(code[1])]++
	}
	return count, out.String(), nil
}

var problemCode = regexp.MustCompile(`<problem code="(0x[0-9a-f]+)"`)

// expected says which complaints follow from which others without anybody's doing: nobody can know the first without
// reading the whole file system, and the operation then does what the kernel does.
//
// An operation on a file whose blocks belong to another as well frees them: what was claimed twice (pass 1B) is then used
// and marked as free (pass 5). What is recorded in the superblock, that there are errors, is no complaint of e2fsck's.
var expected = []struct{ before, after string }{}

// grown gives the codes that were not there before.
func grown(before, after map[string]int) (out []string) {
next:
	for code := range after {
		if before[code] > 0 {
			continue
		}
		for _, e := range expected {
			if before[e.before] > 0 && e.after == code {
				continue next
			}
		}
		out = append(out, code)
	}
	return out
}

var sizeLine = regexp.MustCompile(`Type: (\S+)[\s\S]*?Size: (\d+)`)

// readable tells of each path whether debugfs can read what it holds: the bytes of a regular file, the inode of others.
func readable(file, dir string, paths []path) (map[string]bool, error) {
	said, err := debugfs(file, dir, paths, func(_ int, p path) string { return fmt.Sprintf("stat %q", p.Path) })
	if err != nil {
		return nil, err
	}
	ok := map[string]bool{}
	var small []path
	for i, p := range paths {
		found := sizeLine.FindStringSubmatch(said[i])
		if found == nil {
			continue
		}
		var size int64
		fmt.Sscan(found[2], &size)
		if found[1] == "regular" && size <= judgeLarge {
			small = append(small, p)
		} else if found[1] != "regular" {
			ok[p.Path] = true
		}
	}
	said, err = debugfs(file, dir, small, func(i int, p path) string {
		return fmt.Sprintf("dump %q %s", p.Path, filepath.Join(dir, fmt.Sprint(i)))
	})
	if err != nil {
		return nil, err
	}
	for i, p := range small {
		out := filepath.Join(dir, fmt.Sprint(i))
		_, err := os.Stat(out)
		ok[p.Path] = err == nil && strings.TrimSpace(said[i]) == ""
		os.Remove(out)
	}
	return ok, nil
}

// debugfs asks one question for each path, and gives what it says to each.
func debugfs(file, dir string, paths []path, ask func(int, path) string) ([]string, error) {
	var script strings.Builder
	for i, p := range paths {
		fmt.Fprintln(&script, ask(i, p))
	}
	commands := filepath.Join(dir, "commands")
	if err := os.WriteFile(commands, []byte(script.String()), 0o600); err != nil {
		return nil, err
	}
	var out tail
	_, _, err := run(judgeTime, &out, "sh", "-c", "ulimit -f "+judgeFile+`; exec debugfs -f "$0" "$1" 2>&1`, commands, file)
	if err != nil {
		return nil, err
	}
	said := make([]string, len(paths))
	for i, part := range strings.Split(out.String(), "debugfs: ") {
		if i > 0 && i <= len(paths) {
			_, said[i-1], _ = strings.Cut(part, "\n")
		}
	}
	return said, nil
}
