package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"ext4img/ext4/layout"
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

// notes are remarks of e2fsck's that are no damage: an extent tree could have fewer levels, or fewer blocks.
var notes = map[string]bool{"0x014006": true, "0x014007": true}

// expected says which complaints follow from which others without anybody's doing: nobody can know the ones before without
// reading the whole file system, and the operation then does what the kernel does.
//
// What the superblock records, that there are errors and which, is no complaint of e2fsck's, and is not counted here.
var expected = []struct{ before, after *regexp.Regexp }{
	// Blocks that two files claim (pass 1B): with one of them they become free, and what one writes the other one holds,
	// also if that is a directory (pass 2), whose files are then without a name (passes 3 and 4).
	{regexp.MustCompile("^0x011001"), regexp.MustCompile("^0x0(2|3|4|5)")},
	// Blocks that are used and marked as free may be given to somebody else.
	{regexp.MustCompile("^0x050005"), regexp.MustCompile("^0x01[13]")},
	// An inode with fewer links than names is freed with the last link: the other names lead to a free inode. One with
	// more links than names stays in use without a name.
	{regexp.MustCompile("^0x040003"), regexp.MustCompile("^0x0(20003|40002|5000[35678a])")},
	// A block of attributes with a count that is too high stays in use when nobody refers to it.
	{regexp.MustCompile("^0x01003c"), regexp.MustCompile("^0x05000[346]")},
	// A file without a name gets another complaint when it becomes empty, or is empty no more.
	{regexp.MustCompile("^0x04000[12]"), regexp.MustCompile("^0x04000[12]")},
	// Without the feature that checks descriptors, what they say of unused inodes means nothing; e2fsck looks at it still.
	{regexp.MustCompile("^0x000036"), regexp.MustCompile("^0x02004[67]")},
}

const (
	shared = "0x011001" // the complaint about blocks that two files claim
	links  = "0x040003" // about a wrong count of links
)

// grown gives the codes that were not there before, and how many more were expected.
func grown(before, after map[string]int) (out []string, asExpected int) {
next:
	for code := range after {
		if before[code] > 0 || notes[code] {
			continue
		}
		for _, e := range expected {
			for old := range before {
				if e.before.MatchString(old) && e.after.MatchString(code) {
					asExpected++
					continue next
				}
			}
		}
		out = append(out, code)
	}
	return out, asExpected
}

var sizeLine = regexp.MustCompile(`Inode: (\d+)\s+Type: (\S+)[\s\S]*?Size: (\d+)`)

// seen is what a path leads to: the inode, and what it holds: a sum of the bytes of a regular file, "inode" for others.
type seen struct {
	ino   layout.Ino
	holds string
}

// readable gives what debugfs can read of each path.
func readable(file, dir string, paths []path) (map[string]seen, error) {
	said, err := debugfs(file, dir, paths, func(_ int, p path) string { return fmt.Sprintf("stat %q", p.Path) })
	if err != nil {
		return nil, err
	}
	ok := map[string]seen{}
	var small []path
	var sizes []int64
	for i, p := range paths {
		found := sizeLine.FindStringSubmatch(said[i])
		if found == nil {
			continue
		}
		var size int64
		fmt.Sscan(found[1], &p.Ino)
		fmt.Sscan(found[3], &size)
		if found[2] == "regular" && size <= judgeLarge {
			small, sizes = append(small, p), append(sizes, size)
		} else if found[2] != "regular" {
			ok[p.Path] = seen{p.Ino, "inode"}
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
		if bytes, err := os.ReadFile(out); err == nil && strings.TrimSpace(said[i]) == "" {
			bytes = bytes[:min(int64(len(bytes)), sizes[i])] // of a file in its inode debugfs gives more
			ok[p.Path] = seen{p.Ino, fmt.Sprintf("%d bytes, %x", len(bytes), sha256.Sum256(bytes))}
		}
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
