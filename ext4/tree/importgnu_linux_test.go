package tree

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ext4img/aio/simdev"
	"ext4img/ext4"
	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

// TestImportLikeGNUTar makes archives at random, of names and links that lead anywhere, and compares what GNU tar extracts with
// what import makes: names, types, permissions, content, texts of links, which names are one file, times that the archive
// gives, and whether it says that all went well. Nothing beside the directory of import may change.
//
// Differences that are meant, and left out of the comparison:
//   - A symbolic link that leads out, made again under the same name: GNU tar keeps the first, since it makes them last.
//     Here the last one counts, as for everything else.
//   - A name of a link that leads out, which has a second name, is not used again, nor for a hard link: GNU tar then links
//     the second name to what has the first one in the end.
//   - A link that leads out, whose directory GNU tar does not find again in the end: an empty place holder stays.
//   - Permissions of directories that archives have under two names: GNU tar sets both, in an order of its own.
//   - Times of directories: GNU tar sets them when it leaves a directory, and does not again when it comes back.
//   - Directories that nobody asked for, on the way to a file that then could not be made: GNU tar leaves more of them. Where
//     that is a hard link, they may be in the way of what comes later; and GNU tar removes what has the name of a link to a
//     directory before it fails. Then the trees are not compared.
//
// EXT4IMG_OPS is the number of archives, EXT4IMG_SEED the first seed.
func TestImportLikeGNUTar(t *testing.T) {
	if out, err := judge.Command(t, "tar", "--version").Output(); err != nil || !bytes.Contains(out, []byte("GNU tar")) {
		t.Skip("judge missing: GNU tar")
	}
	count := effort.Ops(300, 20000)
	first := effort.Seed(t, count)
	image := judge.Image(t, "32M", "-N", "8192")
	left := 0
	for done := 0; done < count; {
		g := openGNU(t, image)
		for range min(200, count-done) {
			g.compare(first + uint64(done))
			done++
			if t.Failed() {
				return
			}
		}
		left += g.left
		g.close()
	}
	t.Logf("%d of %d not compared but for status and what is beside", left, count)
}

// gnuTest is an image that archives are imported into, each into a directory of its own.
type gnuTest struct {
	t    *testing.T
	dev  *simdev.Device
	fs   *ext4.FS
	host string
	left int // archives whose trees were not compared
}

func openGNU(t *testing.T, image *simdev.Image) *gnuTest {
	g := &gnuTest{t: t, dev: simdev.FromImage(image.Clone())}
	// GNU tar takes a file for one of its own place holders if that has the same number: tmpfs does not use them again.
	var err error
	if g.host, err = os.MkdirTemp("/dev/shm", "ext4img"); err != nil {
		t.Skipf("judge missing: a tmpfs: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(g.host) })
	if g.fs, err = ext4.Open(g.dev, ext4.Options{}); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gnuTest) close() {
	if err := g.fs.Close(); err != nil {
		g.t.Fatal(err)
	}
	path := judge.Save(g.t, g.dev)
	judge.Fsck(g.t, path)
	if err := os.Remove(path); err != nil {
		g.t.Error(err)
	}
}

// compare imports and extracts the archive of one seed.
func (g *gnuTest) compare(seed uint64) {
	a := randomArchive(seed)
	top := fmt.Sprintf("/%d", seed)
	if err := g.fs.MkdirAll(top+"/out", ext4.Attr{Perm: 0o755}); err != nil {
		g.t.Fatal(err)
	}
	secret, err := g.fs.Create(top+"/out/secret", ext4.Attr{Perm: 0o600})
	if err != nil {
		g.t.Fatal(err)
	}
	secret.Close()
	beside := g.list(top + "/out")
	var problems []string
	err = ImportTar(context.Background(), g.fs, top+"/in", bytes.NewReader(a.data), ImportOptions{Depth: 4, WriteSize: 65536,
		Failed: func(p string, err error) error {
			problems = append(problems, fmt.Sprintf("%s: %v", p, err))
			return nil
		}})
	if err != nil {
		g.t.Errorf("seed %d: %v", seed, err)
	}
	ours := g.list(top + "/in")
	if now := g.list(top + "/out"); !slices.Equal(now, beside) || len(g.list(top)) != len(ours)+len(now)+2 {
		g.t.Errorf("seed %d: what is beside the directory has changed: %q", seed, now)
	}

	dir := filepath.Join(g.host, strconv.FormatUint(seed, 10))
	if err := errors.Join(os.MkdirAll(dir+"/in", 0o755), os.Mkdir(dir+"/out", 0o755)); err != nil {
		g.t.Fatal(err)
	}
	c := judge.Command(g.t, "tar", "-x", "-p", "-f", "-", "-C", dir+"/in")
	c.Stdin = bytes.NewReader(a.data)
	said, err := c.CombinedOutput()
	theirs := listHost(g.t, dir+"/in")
	forgot := forgotten(theirs, ours)
	if (err != nil) != (len(problems) > 0) && !forgot {
		g.t.Errorf("seed %d: GNU tar: %v %s\nhere: %q", seed, err, said, problems)
	}
	x, y := a.comparable(ours, len(problems) > 0), a.comparable(theirs, len(problems) > 0)
	if slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, "link to") }) {
		g.left++
	} else if !slices.Equal(x, y) {
		g.t.Errorf("seed %d:\n%s\nhere:\n%s\n%s\nGNU tar:\n%s\n%s", seed, strings.Join(a.text, "\n"), strings.Join(x, "\n"),
			strings.Join(problems, "\n"), strings.Join(y, "\n"), said)
	}
	if err := errors.Join(os.RemoveAll(dir), g.fs.RemoveAll(top)); err != nil {
		g.t.Fatal(err)
	}
}

// forgotten puts links in the places where GNU tar has left a place holder of its own: an empty file that nobody may read.
func forgotten(theirs, ours []found) (any bool) {
	for i, f := range theirs {
		if f.kind != "f" || f.mode != 0 || f.text != "" {
			continue
		}
		for _, o := range ours {
			if o.name == f.name && o.kind == "l" {
				theirs[i], any = o, true
			}
		}
	}
	return any
}

// archive is one that was made at random.
type archive struct {
	data  []byte
	text  []string
	plain bool            // a directory has one name only
	twice map[string]bool // last names of links that lead out and are made more than once
}

func randomArchive(seed uint64) *archive {
	rnd := rand.New(rand.NewPCG(seed, 1))
	names := []string{"a", "b", "c", "d"}[:2+rnd.IntN(3)]
	name := func(dots int) string {
		var parts []string
		for i := rnd.IntN(1 + rnd.IntN(6)); i >= 0; i-- {
			switch n := rnd.IntN(100); {
			case n < dots:
				parts = append(parts, "..")
			case n < dots+3 && i > 0:
				parts = append(parts, ".")
			default:
				parts = append(parts, names[rnd.IntN(len(names))])
			}
		}
		p := strings.Join(parts, "/")
		switch rnd.IntN(20) {
		case 0:
			p = "/" + p
		case 1:
			p = "./" + p
		case 2:
			p = strings.Replace(p, "/", "//", 1)
		}
		return p
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	a := &archive{plain: true, twice: map[string]bool{}}
	var made []string
	seen, linked := map[string]bool{}, map[string]bool{}
	last := func(name string) string { return path.Base(path.Clean("/" + name)) }
	for i := range 2 + rnd.IntN(12) {
		h := &tar.Header{Name: name(2), Mode: int64(0o600 | rnd.IntN(0o200)), ModTime: time.Unix(1e9+int64(i), 0), Format: tar.FormatGNU}
		data := ""
		switch rnd.IntN(10) {
		case 0, 1, 2:
			h.Typeflag, data = tar.TypeReg, fmt.Sprintf("member %d", i)
		case 3, 4:
			h.Typeflag = tar.TypeDir
			h.Mode = h.Mode&0o775 | 0o720 // unlike one that nobody asked for
		case 5, 6, 7:
			a.plain = false
			h.Typeflag, h.Linkname = tar.TypeSymlink, name(20)
			if rnd.IntN(6) == 0 {
				h.Linkname = "../out/secret"
			}
			if leads := strings.HasPrefix(h.Linkname, "/") || slices.Contains(strings.Split(h.Linkname, "/"), ".."); leads {
				base := last(h.Name)
				a.twice[base] = seen[base]
				seen[base] = true
			}
		case 8:
			h.Typeflag, h.Linkname = tar.TypeLink, name(5)
			if len(made) > 0 && rnd.IntN(8) != 0 {
				h.Linkname = made[rnd.IntN(len(made))]
			}
			if seen[last(h.Linkname)] && !seen[last(h.Name)] && !linked[last(h.Name)] {
				linked[last(h.Linkname)], linked[last(h.Name)] = true, true
			}
		case 9:
			h.Typeflag = tar.TypeFifo
		}
		if linked[last(h.Name)] || h.Typeflag == tar.TypeLink && seen[last(h.Name)] {
			continue
		}
		a.plain = a.plain && !strings.Contains(h.Name, "./") && !strings.Contains(h.Name, "//")
		if h.Typeflag != tar.TypeDir {
			made = append(made, h.Name)
		}
		h.Size = int64(len(data))
		a.text = append(a.text, fmt.Sprintf("%c %o %s -> %s", h.Typeflag, h.Mode, h.Name, h.Linkname))
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if _, err := io.WriteString(w, data); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	a.data = buf.Bytes()
	return a
}

// found is a file of one of the trees.
type found struct {
	name, kind, text string // text: of a link, or content
	first            string // the name of the same file that comes first
	mode             fs.FileMode
	mtime            int64
}

func (f found) String() string {
	if f.mtime > 1e9+1000 {
		f.mtime = 0 // now
	}
	return fmt.Sprintf("%s %s %v %q =%s %d", f.name, f.kind, f.mode, f.text, f.first, f.mtime)
}

// comparable leaves out the differences that are meant.
func (a *archive) comparable(files []found, failed bool) (out []string) {
	files = slices.Clone(files)
	empty := func(i int) bool { // a directory that nobody asked for, and nothing in it
		f := files[i]
		return f.kind == "d" && failed && (f.mode == 0o755 || !a.plain) && (i+1 == len(files) || !strings.HasPrefix(files[i+1].name, f.name+"/"))
	}
	for i := len(files) - 1; i >= 0; i-- {
		if empty(i) {
			files = slices.Delete(files, i, i+1)
		}
	}
	for _, f := range files {
		if f.kind == "d" {
			f.mtime = 0
			if !a.plain {
				f.mode = 0
			}
		}
		if f.kind == "l" && a.twice[path.Base(f.first)] {
			f.text, f.mtime, f.first = "", 0, ""
		}
		out = append(out, f.String())
	}
	return out
}

func (g *gnuTest) list(top string) (out []found) {
	first := map[uint32]string{}
	visit := func(v *ext4.Visit) error {
		p, info := v.Path(), v.Info
		rel := strings.TrimPrefix(strings.TrimPrefix(p, top), "/")
		if rel == "" {
			return nil
		}
		f := found{name: rel, kind: "d", mode: info.Mode().Perm(), mtime: info.ModTime().Unix()}
		var err error
		switch {
		case info.Mode().IsRegular():
			f.kind = "f"
			var data []byte
			data, err = g.fs.ReadFile(strings.TrimPrefix(p, "/"))
			f.text = string(data)
		case info.Mode()&fs.ModeSymlink != 0:
			f.kind = "l"
			f.text, err = g.fs.Readlink(p)
		case !info.IsDir():
			f.kind = "p"
		}
		s := info.Stat()
		if first[s.Ino] == "" {
			first[s.Ino] = rel
		}
		f.first = first[s.Ino]
		out = append(out, f)
		return err
	}
	in, err := g.fs.Find(top, false)
	if err == nil {
		err = (&ext4.Walk{Visit: visit}).Run(context.Background(), in, top)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	return sorted(out)
}

func listHost(t *testing.T, top string) (out []found) {
	first := map[uint64]string{}
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == top {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f := found{name: p[len(top)+1:], kind: "d", mode: info.Mode().Perm(), mtime: info.ModTime().Unix()}
		switch {
		case info.Mode().IsRegular():
			f.kind = "f"
			var data []byte
			data, err = os.ReadFile(p)
			f.text = string(data)
		case info.Mode()&fs.ModeSymlink != 0:
			f.kind = "l"
			f.text, err = os.Readlink(p)
		case !info.IsDir():
			f.kind = "p"
		}
		ino := info.Sys().(*syscall.Stat_t).Ino
		if first[ino] == "" {
			first[ino] = f.name
		}
		f.first = first[ino]
		out = append(out, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sorted(out)
}

func sorted(files []found) []found {
	slices.SortFunc(files, func(a, b found) int { return slices.Compare(strings.Split(a.name, "/"), strings.Split(b.name, "/")) })
	return files
}
