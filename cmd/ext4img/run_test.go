package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ext4img/testimages/judge"
)

// result is how a command line ended.
type result struct {
	status   int
	out, err string
}

// cmd runs a command line with the words of line and more arguments.
func cmd(t *testing.T, in io.Reader, line string, more ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	args := append(append([]string{name}, strings.Fields(line)...), more...)
	status := run(args, stdio{in, &out, &errs}, make(chan os.Signal))
	return result{status, out.String(), errs.String()}
}

// ok is cmd that must succeed and say nothing on standard error.
func ok(t *testing.T, line string, more ...string) string {
	t.Helper()
	r := cmd(t, nil, line, more...)
	if r.status != 0 || r.err != "" {
		t.Fatalf("%s: status %d\n%s%s", line, r.status, r.out, r.err)
	}
	return r.out
}

// newImage makes an image with mke2fs.
func newImage(t *testing.T, size string, flags ...string) string {
	t.Helper()
	judge.Need(t, "mke2fs")
	path := filepath.Join(t.TempDir(), "a.img")
	args := append([]string{"-q", "-t", "ext4", "-F"}, flags...)
	judge.Run(t, "mke2fs", append(args, path, size)...)
	return path
}

// fsck has the image judged.
func fsck(t *testing.T, path string) {
	t.Helper()
	judge.Fsck(t, path)
}

// TestUsage: usage errors go to standard error with status 2, help to standard output.
func TestUsage(t *testing.T) {
	for line, want := range map[string]int{
		"": 2, "nope": 2, "info": 2, "info --nope x": 2, "ls": 2, "truncate x /f": 2, "fallocate x /f": 2, "fallocate -l 1 -p -z x /f": 2,
		"write x relative": 2, "dump": 2, "xattr": 2, "verify": 16, "verify --nope x": 16, "write --engine foo x /f": 2, "completion tcsh": 2,
		"fallocate -l 4Q x /f": 2, "journal nope": 2, "--partition x info a": 2, "mkfs": 2,
	} {
		r := cmd(t, nil, line)
		if r.status != want || r.out != "" || r.err == "" {
			t.Errorf("%q: status %d, want %d; stdout %q, stderr %q", line, r.status, want, r.out, r.err)
		}
	}
	for _, c := range newApp(stdio{}).Commands {
		r := cmd(t, nil, c.Name+" --help")
		if r.status != 0 || !strings.Contains(r.out, "Example") || r.err != "" {
			t.Errorf("%s --help: status %d, %q, %q", c.Name, r.status, r.out, r.err)
		}
	}
	if r := cmd(t, nil, ""); !strings.Contains(r.err, "Examples:") {
		t.Errorf("no example without arguments: %q", r.err)
	}
	if r := cmd(t, nil, "info /does/not/exist"); r.status != 1 || strings.Count(r.err, "\n") != 1 || !strings.HasPrefix(r.err, "ext4img: info ") {
		t.Errorf("missing image: status %d, %q", r.status, r.err)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if out := ok(t, "completion "+shell); !strings.Contains(out, name) {
			t.Errorf("completion %s: %q", shell, out)
		}
	}
	if out := ok(t, "man"); !strings.Contains(out, "fallocate") {
		t.Errorf("man: %q", out)
	}
}

// TestJobs: preallocate, write, inspect, verify, read back.
func TestJobs(t *testing.T) {
	img := newImage(t, "64M", "-b", "4096")
	src := filepath.Join(t.TempDir(), "src")
	data := make([]byte, 3<<20+777)
	rnd := rand.NewChaCha8([32]byte{1})
	rnd.Read(data)
	if err := os.WriteFile(src, data, 0o600); err != nil {
		t.Fatal(err)
	}
	ok(t, "fallocate -l 16M", img, "/data")
	var w writeResult
	if err := json.Unmarshal([]byte(ok(t, "write --json --bs 64K --offset 1M --from", src, img, "/data")), &w); err != nil {
		t.Fatal(err)
	}
	if w.Bytes != int64(len(data)) || w.Writes == 0 || w.UnwrittenWrites == 0 || w.ConversionBatches == 0 || w.Commits == 0 {
		t.Errorf("write: %+v", w)
	}
	var maps []fileMap
	if err := json.Unmarshal([]byte(ok(t, "extents --json", img, "/data")), &maps); err != nil {
		t.Fatal(err)
	}
	blocks := map[string]uint64{}
	for _, e := range maps[0].Extents {
		blocks[e.State] += e.Length
	}
	if want := uint64(len(data)+4095) / 4096; blocks[written] != want || blocks[unwritten] != 4096-want {
		t.Errorf("extents: %v, want %d written", blocks, want)
	}
	got := ok(t, "cat", img, "/data")
	if len(got) != 16<<20 || got[1<<20:1<<20+len(data)] != string(data) || strings.Trim(got[1<<20+len(data):], "\x00") != "" {
		t.Errorf("content differs")
	}
	dst := filepath.Join(t.TempDir(), "dst")
	ok(t, "get", img, "/data", dst)
	if back, err := os.ReadFile(dst); err != nil || string(back) != got {
		t.Errorf("get: %v, %d bytes", err, len(back))
	}
	ok(t, "verify", img)
	ok(t, "truncate -s 5000", img, "/data")
	fsck(t, img)
}

// TestRanges: only the ranges of the list are written.
func TestRanges(t *testing.T) {
	img, dir := newImage(t, "32M"), t.TempDir()
	src, list := filepath.Join(dir, "src"), filepath.Join(dir, "list")
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if err := errorsOf(os.WriteFile(src, data, 0o600), os.WriteFile(list, []byte("# delta\n65536 4096\n0 100\n\n500000 12345\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	ok(t, "truncate -s 1M", img, "/f")
	ok(t, "write --from", src, "--ranges", list, img, "/f")
	want := make([]byte, 1<<20)
	for _, r := range [][2]int{{65536, 4096}, {0, 100}, {500000, 12345}} {
		copy(want[r[0]:r[0]+r[1]], data[r[0]:])
	}
	if got := ok(t, "cat", img, "/f"); got != string(want) {
		t.Errorf("content differs")
	}
	if err := os.WriteFile(list, []byte("1048000 4096\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := cmd(t, nil, "write --from", src, "--ranges", list, img, "/f"); r.status != 1 {
		t.Errorf("range beyond the source: status %d", r.status)
	}
	fsck(t, img)
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestNames: the small commands, judged by e2fsck.
func TestNames(t *testing.T) {
	img := newImage(t, "32M")
	ok(t, "mkdir -p", img, "/a/b/c")
	if r := cmd(t, strings.NewReader("hello\n"), "put - "+img+" /a/hello -m 640"); r.status != 0 {
		t.Fatalf("put: %+v", r)
	}
	ok(t, "ln -s", img, "hello", "/a/sym")
	ok(t, "ln", img, "/a/hello", "/a/b/hard")
	ok(t, "mv", img, "/a/b/hard", "/a/b/c")
	ok(t, "chown 1000:100000", img, "/a/hello") // first: it takes set-uid away
	ok(t, "chmod", img, "u+s,g=rx", "/a/hello")
	ok(t, "touch -d @1234567890", img, "/a/hello", "/a/new")
	if got := ok(t, "cat", img, "/a/sym"); got != "hello\n" {
		t.Errorf("cat through a link: %q", got)
	}
	var all []statEntry
	if err := json.Unmarshal([]byte(ok(t, "stat --json", img, "/a/hello", "/a/b/c/hard", "/a/sym")), &all); err != nil {
		t.Fatal(err)
	}
	if e := all[0]; e.Mode != "4650" || e.UID != 1000 || e.GID != 100000 || e.Links != 2 || e.Mtime.Unix() != 1234567890 || e.Inode != all[1].Inode {
		t.Errorf("stat: %+v", e)
	}
	if all[2].Target != "hello" || all[2].Type != "symlink" {
		t.Errorf("stat of a link: %+v", all[2])
	}
	if r := cmd(t, nil, "rm "+img+" /a/b"); r.status != 1 || !strings.Contains(r.err, "/a/b") {
		t.Errorf("rm of a directory: %+v", r)
	}
	if out := ok(t, "tree", img); !strings.Contains(out, "└── sym -> hello") {
		t.Errorf("tree: %s", out)
	}
	ok(t, "ls -lR", img)
	ok(t, "rm -r", img, "/a/b")
	if out := ok(t, "ls", img, "/a"); out != "hello\nnew\nsym\n" {
		t.Errorf("ls: %q", out)
	}
	fsck(t, img)
}

// TestAttributes: values of every kind, and trees keep them.
func TestAttributes(t *testing.T) {
	img := newImage(t, "32M")
	ok(t, "touch", img, "/f")
	ok(t, "xattr set", img, "/f", "user.note", "hello")
	ok(t, "xattr set", img, "/f", "user.bin", "0x0001ff")
	if r := cmd(t, nil, "xattr set --create "+img+" /f user.note x"); r.status != 1 {
		t.Errorf("create of one that exists: %+v", r)
	}
	if got := ok(t, "xattr get", img, "/f", "user.note"); got != "hello" {
		t.Errorf("get: %q", got)
	}
	if got, want := ok(t, "xattr list", img, "/f"), "/f: user.bin=0sAAH/\n/f: user.note=\"hello\"\n"; got != want {
		t.Errorf("list: %q, want %q", got, want)
	}
	archive := filepath.Join(t.TempDir(), "a.tar")
	ok(t, "export --tar", img, "/", archive)
	second := newImage(t, "32M")
	ok(t, "import --tar", archive, second, "/")
	if got := ok(t, "xattr get", second, "/f", "user.bin"); got != "\x00\x01\xff" {
		t.Errorf("after tar: %q", got)
	}
	ok(t, "xattr rm", img, "/f", "user.bin")
	if r := cmd(t, nil, "xattr get "+img+" /f user.bin"); r.status != 1 || !strings.HasPrefix(r.err, "ext4img: xattr get /f: ") {
		t.Errorf("get of one that is gone: %+v", r)
	}
	fsck(t, img)
	fsck(t, second)
}

// TestPartitions: one is found, of several one is asked for, and only that one is changed.
func TestPartitions(t *testing.T) {
	judge.Need(t, "sfdisk")
	for _, label := range []string{"gpt", "dos"} {
		img := filepath.Join(t.TempDir(), "disk.img")
		if err := errorsOf(os.WriteFile(img, nil, 0o600), os.Truncate(img, 100<<20)); err != nil {
			t.Fatal(err)
		}
		judge.Feed(t, "label: "+label+"\nsize=40M\nsize=50M\n", "sfdisk", "-q", img)
		if r := cmd(t, nil, "ls "+img); r.status != 1 || !strings.Contains(r.err, "no partition holds") {
			t.Errorf("%s: none: %+v", label, r)
		}
		ok(t, "mkfs -L one --partition 1", img)
		ok(t, "touch", img, "/in-one") // the only one
		ok(t, "mkfs -L two", img, "--partition", "2")
		if r := cmd(t, nil, "ls "+img); r.status != 1 || !strings.Contains(r.err, "--partition") {
			t.Errorf("%s: several: %+v", label, r)
		}
		if r := cmd(t, nil, "--partition 7 ls "+img); r.status != 1 {
			t.Errorf("%s: none of that number: %+v", label, r)
		}
		if out := ok(t, "--partition 1 ls", img); !strings.Contains(out, "in-one") {
			t.Errorf("%s: %s", label, out)
		}
		if out := ok(t, "info", img, "--partition=2"); !strings.Contains(out, "two") {
			t.Errorf("%s: %s", label, out)
		}
		ok(t, "verify --partition 2", img)
		if r := cmd(t, nil, "--partition 1 mkfs "+img); r.status != 1 || !strings.Contains(r.err, "--force") {
			t.Errorf("%s: over a file system: %+v", label, r)
		}
	}
}

// TestReadingChangesNothing: commands that only read leave every byte.
func TestReadingChangesNothing(t *testing.T) {
	img := newImage(t, "16M")
	ok(t, "fallocate -l 1M", img, "/f")
	before, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"info", "info --json", "ls -lR", "tree", "extents", "extents --all --json", "verify", "dump super", "dump group 0", "dump inode 2", "journal show"} {
		ok(t, line, img)
	}
	ok(t, "cat", img, "/f")
	after, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Error("the image has changed")
	}
}

// TestStress: aio-stress's test case ends with the kernel's map, and --verify reads back what was written.
func TestStress(t *testing.T) {
	dir := judge.Oracles(t, "tc1")
	img := newImage(t, "1536M", "-b", "4096")
	ok(t, "fallocate -l 1G", img, "/f")
	ok(t, "aio-stress -I 100000 -O -s 100m -n -t 1 -c 10 -o 2 -o 3", img, "/f")
	var maps []fileMap
	if err := json.Unmarshal([]byte(ok(t, "extents --json", img, "/f")), &maps); err != nil {
		t.Fatal(err)
	}
	blocks := map[int64]bool{}
	for _, e := range maps[0].Extents {
		for b := e.Logical; e.State == written && b < e.Logical+e.Length; b++ {
			blocks[int64(b)] = true
		}
	}
	judge.WrittenBlocks(t, filepath.Join(dir, "map-4096"), blocks)
	ok(t, "truncate -s 0", img, "/f")
	var s stressResult
	out := ok(t, "stress --rw randrw --bs 4K --size 64M --io-size 32M --verify --fsync-every 1000 --truncate-every 500 --punch-every 300 --fallocate-every 700 --json", img, "/g")
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatal(err)
	}
	if s.IOs != 8192 || s.Verified == 0 || s.SideJobs == 0 {
		t.Errorf("stress: %+v", s)
	}
	fsck(t, img)
}

// TestInterrupt: a signal stops the command; what was written stays, and the image is clean.
func TestInterrupt(t *testing.T) {
	for sig, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		img := newImage(t, "32M")
		r, w := io.Pipe()
		signals := make(chan os.Signal, 1)
		var out, errs bytes.Buffer
		status := make(chan int)
		go func() {
			status <- run([]string{name, "write", "--bs", "64K", img, "/f"}, stdio{r, &out, &errs}, signals)
		}()
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		signals <- sig
		if got := <-status; got != want {
			t.Errorf("%v: status %d, want %d: %s", sig, got, want, errs.String())
		}
		fsck(t, img)
		w.Close()
	}
}

// TestMkfs: the same flags, UUID and time give the same bytes; options that cannot be leave what is there.
func TestMkfs(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	var images [2][]byte
	img := filepath.Join(t.TempDir(), "a.img")
	for i := range images {
		ok(t, "mkfs -F -L d -U 00112233-4455-6677-8899-aabbccddeeff -J size=4", img, "64M")
		fsck(t, img)
		var err error
		if images[i], err = os.ReadFile(img); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(images[0], images[1]) {
		t.Error("twice the same gives different bytes")
	}
	for _, bad := range []string{"-b 3000", "-O foo", "-L 12345678901234567", "-N 4000000000"} {
		if r := cmd(t, nil, "mkfs -F "+bad+" "+img+" 64M"); r.status != 1 {
			t.Errorf("%s: %+v", bad, r)
		}
	}
	if after, err := os.ReadFile(img); err != nil || !bytes.Equal(after, images[0]) {
		t.Errorf("a refused mkfs has changed the image: %v", err)
	}
}

// TestDemo runs from nothing.
func TestDemo(t *testing.T) {
	out := ok(t, "demo --size 64M --image", filepath.Join(t.TempDir(), "demo.img"))
	if !strings.Contains(out, ": clean,") || !strings.Contains(out, "The same by hand") {
		t.Errorf("demo: %s", out)
	}
}

// TestDemoAgain: a second demo leaves the image of the first alone, and names the flag that overwrites it; as does one over
// another file.
func TestDemoAgain(t *testing.T) {
	img, text := filepath.Join(t.TempDir(), "demo.img"), filepath.Join(t.TempDir(), "text")
	ok(t, "demo --size 16M --image", img)
	if err := os.WriteFile(text, []byte("grocery list\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{img, text} {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r := cmd(t, nil, "demo --size 16M --image", path)
		if after, err := os.ReadFile(path); r.status != 1 || !strings.Contains(r.err, "--force overwrites it") || err != nil || !bytes.Equal(before, after) {
			t.Errorf("demo over %s: %+v, %v", path, r, err)
		}
		for _, flag := range []string{"--force", "-F"} {
			out := ok(t, "demo --size 16M "+flag+" --image", path)
			if !strings.Contains(out, "mkfs --force -L demo "+path) || !strings.Contains(out, ": clean,") {
				t.Errorf("demo %s: %s", flag, out)
			}
		}
		fsck(t, path)
	}
	if out := ok(t, "demo --size 16M --force"); !strings.Contains(out, ": clean,") {
		t.Errorf("demo --force without an image: %s", out)
	}
}
