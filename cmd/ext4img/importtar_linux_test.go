package main

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ext4img/testimages/judge"
)

// tarBlock is the unit of archives, bytes.
const tarBlock = 512

// rawHeader is a header of a tar archive, with a checksum that is right. change puts in what no program writes.
func rawHeader(name string, kind byte, size int, change func(h []byte)) []byte {
	h := make([]byte, tarBlock)
	copy(h, name)
	copy(h[100:], "0000644\x000000000\x000000000\x00")
	copy(h[124:], fmt.Sprintf("%011o\x0000000000000\x00", size))
	h[156] = kind
	copy(h[257:], "ustar\x0000")
	if change != nil {
		change(h)
	}
	copy(h[148:], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}

// padded is data in whole blocks.
func padded(p string) []byte {
	return append([]byte(p), make([]byte, -len(p)&(tarBlock-1))...)
}

// paxHeader is an extended header with records "key=value".
func paxHeader(records ...string) []byte {
	var text string
	for _, r := range records {
		k, v, _ := strings.Cut(r, "=")
		text += paxRecord(k, v)
	}
	return append(rawHeader("pax", 'x', len(text), nil), padded(text)...)
}

// paxRecord is a record: its length in bytes, which counts itself, the key and the value.
func paxRecord(k, v string) string {
	rest := fmt.Sprintf(" %s=%s\n", k, v)
	n := len(rest) + 1
	for len(strconv.Itoa(n))+len(rest) != n {
		n++
	}
	return strconv.Itoa(n) + rest
}

// whole joins members to an archive.
func whole(members ...[]byte) []byte {
	return append(bytes.Join(members, nil), make([]byte, 2*tarBlock)...)
}

func member(name, data string) []byte {
	return append(rawHeader(name, '0', len(data), nil), padded(data)...)
}

// importBytes imports an archive from standard input into /d.
func importBytes(t *testing.T, img string, archive []byte, flags ...string) result {
	t.Helper()
	return cmd(t, bytes.NewReader(archive), "import --tar "+strings.Join(flags, " "), "-", img, "/d")
}

// shown is how stat shows a file: type and permissions, owner, group and name; "" if there is none.
func shown(t *testing.T, img, name string) string {
	t.Helper()
	r := cmd(t, nil, "ls -ld", img, name)
	if r.status != 0 {
		return ""
	}
	f := strings.Fields(r.out)
	return strings.Join(f[:4], " ")
}

// TestImportNumbers: what no inode can hold is refused, and the rest is made; times are clipped as everywhere.
func TestImportNumbers(t *testing.T) {
	base256 := func(h []byte, at, n int, v int64) {
		for i := range n {
			h[at+n-1-i] = byte(v >> min(8*i, 63))
		}
		h[at] |= 0x80
	}
	uid := func(v int64) func(h []byte) { return func(h []byte) { base256(h, 108, 8, v) } }
	gid := func(v int64) func(h []byte) { return func(h []byte) { base256(h, 116, 8, v) } }
	device := func(major, minor int64) []byte {
		return rawHeader("f", '3', 0, func(h []byte) { base256(h, 329, 8, major); base256(h, 337, 8, minor) })
	}
	for i, c := range []struct {
		archive []byte
		want    string // "" if it is refused
	}{
		{rawHeader("f", '0', 0, uid(1<<32)), ""},
		{rawHeader("f", '0', 0, uid(1<<32-1)), ""},
		{rawHeader("f", '0', 0, uid(-3)), ""},
		{rawHeader("f", '0', 0, uid(-1)), ""},
		{rawHeader("f", '0', 0, uid(1<<62)), ""},
		{rawHeader("f", '0', 0, gid(1<<32)), ""},
		{rawHeader("f", '0', 0, gid(-3)), ""},
		{rawHeader("f", '0', 0, uid(1<<32-2)), "-rw-r--r-- 1 4294967294 0"},
		{rawHeader("f", '0', 0, gid(70000)), "-rw-r--r-- 1 0 70000"},
		{append(paxHeader("uid=4294967296"), rawHeader("f", '0', 0, nil)...), ""},
		{append(paxHeader("uid=-3"), rawHeader("f", '0', 0, nil)...), ""},
		{append(paxHeader("gid=18446744073709551616"), rawHeader("f", '0', 0, nil)...), ""},
		{append(paxHeader("uid=1e3"), rawHeader("f", '0', 0, nil)...), ""},
		{append(paxHeader("uid=4294967294", "gid=7"), rawHeader("f", '0', 0, nil)...), "-rw-r--r-- 1 4294967294 7"},
		{rawHeader("f", '0', 0, func(h []byte) { copy(h[108:], "9999999\x00") }), ""},
		{rawHeader("f", '0', 0, func(h []byte) { copy(h[100:], "1234567\x00") }), "-r-srw-rwx 1 0 0"},
		{device(4096, 0), ""},
		{device(0, 1<<20), ""},
		{device(1<<32, 1), ""},
		{device(-1, 1), ""},
		{device(4095, 1<<20-1), "crw-r--r-- 1 0 0"},
	} {
		img := newImage(t, "8M")
		r := importBytes(t, img, whole(member("before", "1"), c.archive, member("after", "2")))
		if refused := c.want == ""; (r.status != 0) != refused || r.status > 1 || refused != strings.Contains(r.err, "import f: ") {
			t.Errorf("archive %d: status %d, %s", i, r.status, r.err)
		}
		got := shown(t, img, "/d/f")
		if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" || shown(t, img, "/d/after") == "" {
			t.Errorf("archive %d: %q, want %q", i, got, c.want)
		}
		fsck(t, img)
	}
	for text, want := range map[string]string{"-1.5": "1969-12-31T23:59:58.5Z", "99999999999999999999": "2446-05-10T22:38:55Z",
		"-99999999999999": "1901-12-13T20:45:52Z", "1700000000.123456789123": "2023-11-14T22:13:20.123456789Z"} {
		img := newImage(t, "8M")
		if r := importBytes(t, img, whole(paxHeader("mtime="+text), member("f", "x"))); r.status != 0 {
			t.Errorf("mtime %s: %s", text, r.err)
		}
		if out := ok(t, "stat --json", img, "/d/f"); !strings.Contains(out, want) {
			t.Errorf("mtime %s: want %s in %s", text, want, out)
		}
	}
}

// TestImportCut: an archive that ends too early, wherever that is, gives an error, and the members before it are there.
func TestImportCut(t *testing.T) {
	archive := whole(member("a", "first"), append(rawHeader("dir/", '5', 0, nil), member("dir/b", strings.Repeat("b", 700))...), paxHeader("mtime=5"),
		member("c", "last"))
	for _, cut := range []int{0, 1, 100, 511, 512, 600, 1023, 1024, 1536, 2000, 2048, 3071, 3072, 3500, 3584, 4096, 4608, 5119, 5120, 5500, 5632, 6144} {
		img := newImage(t, "8M")
		if cut == 0 || cut < tarBlock {
			before := sum(t, img)
			if r := importBytes(t, img, archive[:cut]); r.status != 2 || !strings.Contains(r.err, "does not look like a tar archive") || sum(t, img) != before {
				t.Errorf("%d bytes: %+v", cut, r)
			}
			continue
		}
		r := importBytes(t, img, archive[:cut])
		whole := cut >= len(archive)-tarBlock // one block of zeros is enough
		if whole != (r.status == 0) || r.status > 1 || whole != (r.err == "") {
			t.Errorf("%d bytes of %d: %+v", cut, len(archive), r)
		}
		if there := shown(t, img, "/d/a") != ""; there != (cut >= 512+5) {
			t.Errorf("%d bytes: the first member is there: %v", cut, there)
		}
		fsck(t, img)
	}
	img := newImage(t, "8M")
	r := importBytes(t, img, whole(member("a", "1"), bytes.Repeat([]byte("no header"), 512)[:3*tarBlock], member("b", "2")))
	if r.status != 1 || !strings.Contains(r.err, "1536 bytes") || shown(t, img, "/d/b") == "" {
		t.Errorf("garbage between members: %+v", r)
	}
	if r := importBytes(t, img, make([]byte, 10240)); r.status != 0 || r.err != "" {
		t.Errorf("an archive of nothing: %+v", r)
	}
}

// TestImportKinds: members that are no plain files, as GNU tar takes them.
func TestImportKinds(t *testing.T) {
	img, dir := newImage(t, "16M"), t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errorsOf(os.MkdirAll(at("j/k"), 0o755), os.WriteFile(at("j/1"), []byte("one"), 0o644)); err != nil {
		t.Fatal(err)
	}
	for i, args := range [][]string{{"-V", "LABEL"}, {"-g", at("list")}, {"-g", at("list2"), "--format=posix"}, {"--format=v7"}, {"-V", "LABEL", "--format=posix"}} {
		judge.Run(t, "tar", append(args, "-C", dir, "-cf", at("a.tar"), "j")...)
		top := fmt.Sprintf("/n%d", i)
		ok(t, "import --tar", at("a.tar"), img, top)
		if got := strings.Fields(ok(t, "ls", img, top)); len(got) != 1 || ok(t, "cat", img, top+"/j/1") != "one" || shown(t, img, top+"/j/k")[:1] != "d" {
			t.Errorf("%q: %q", args, got)
		}
	}
	none := func(h []byte) { clear(h[257:265]) }
	link := func(to string) func(h []byte) { return func(h []byte) { copy(h[157:], to) } }
	archive := whole(rawHeader("old/", 0, 0, none), rawHeader("new/", '0', 0, nil), append(rawHeader("old/f", 0, 3, none), padded("abc")...),
		append(rawHeader("seven", '7', 1, nil), padded("7")...), append(rawHeader("odd", 'Z', 1, nil), padded("Z")...),
		rawHeader("over/", '5', 0, nil), append(rawHeader("over", '0', 4, nil), padded("file")...),
		rawHeader("self", '1', 0, link("seven")), rawHeader("self", '1', 0, link("self")), rawHeader("x/y/z", '1', 0, link("/self")),
		rawHeader("w", '1', 0, link("../../d/seven")), append(rawHeader("vol", 'M', 3, nil), padded("abc")...), rawHeader("full", '5', 0, nil),
		member("full/x", "x"), member("full", "y"), member("last", "last"))
	r := importBytes(t, img, archive)
	if r.status != 1 || strings.Count(r.err, "\n") != 3 || !strings.Contains(r.err, "import vol: ") || !strings.Contains(r.err, "import /d/full: ") ||
		!strings.Contains(r.err, "import /d/w: ") {
		t.Errorf("%+v", r)
	}
	for name, want := range map[string]string{"old": "d", "new": "d", "old/f": "-", "seven": "-rw-r--r-- 3", "odd": "-", "over": "-", "self": "-rw-r--r-- 3",
		"x/y/z": "-rw-r--r-- 3", "full": "d", "last": "-"} {
		if got := shown(t, img, "/d/"+name); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %s", name, got, want)
		}
	}
	fsck(t, img)
}

// TestImportSource: what SRC may be, with and without --tar.
func TestImportSource(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	archive := whole(member("f", "content"))
	if err := errorsOf(os.MkdirAll(at("real/sub"), 0o755), os.WriteFile(at("real/f"), []byte("content"), 0o644), os.Symlink("real", at("link")),
		os.WriteFile(at("a.tar"), archive, 0o644), os.WriteFile(at("text"), []byte("no archive\n"), 0o644), os.WriteFile(at("empty"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		src, stdin string
		status     int
	}{
		{at("real"), "", 0}, {at("link"), "", 0}, {at("link/"), "", 0}, {at("a.tar"), "", 0}, {"--tar " + at("a.tar"), "", 0},
		{"-", string(archive), 0}, {"--tar -", string(archive), 0}, {"--tar -", "", 2}, {"-", "", 2}, {"--tar " + at("empty"), "", 2},
		{"--tar " + at("text"), "", 2}, {at("text"), "", 2}, {"--tar " + at("real"), "", 1}, {at("none"), "", 1}, {"--tar " + at("none"), "", 1},
	} {
		img := newImage(t, "8M")
		before := sum(t, img)
		r := cmd(t, strings.NewReader(c.stdin), "import "+c.src, img, "/q")
		if r.status != c.status || (r.err == "") != (c.status == 0) || strings.Count(r.err, "\n") > 1 {
			t.Errorf("%s: %+v", c.src, r)
		}
		if c.status != 0 && sum(t, img) != before {
			t.Errorf("%s: the image has changed", c.src)
		}
		if c.status == 0 && ok(t, "cat", img, "/q/f") != "content" {
			t.Errorf("%s: content", c.src)
		}
	}
	t.Setenv("FAKEROOTKEY", "1")
	img := newImage(t, "8M")
	if r := cmd(t, nil, "import", at("real"), img, "/q"); r.status != 0 || !strings.Contains(r.err, "fakeroot") || !strings.Contains(r.err, "import --tar -") {
		t.Errorf("fakeroot: %+v", r)
	}
	if r := cmd(t, nil, "import", at("a.tar"), img, "/r"); r.status != 0 || r.err != "" {
		t.Errorf("fakeroot and an archive: %+v", r)
	}
}

// TestImportOwner: one owner for everything; set-uid and capabilities stay.
func TestImportOwner(t *testing.T) {
	caps := []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	archive := whole(paxHeader("uid=1000", "gid=1000", "SCHILY.xattr.security.capability="+string(caps)),
		append(rawHeader("a/tool", '0', 4, func(h []byte) { copy(h[100:], "0006755\x00") }), padded("tool")...),
		paxHeader("uid=5000000000"), member("wrong", ""))
	for flag, want := range map[string]string{"": "1000 1000", "0:0": "0 0", "12:34": "12 34", ":7": "1000 7", "9": "9 1000"} {
		img := newImage(t, "8M")
		flags := []string{}
		if flag != "" {
			flags = append(flags, "--owner="+flag)
		}
		r := importBytes(t, img, archive, flags...)
		if got := shown(t, img, "/d/a/tool"); r.status != 1 || got != "-rwsr-sr-x 1 "+want {
			t.Errorf("--owner %q: %q, %+v", flag, got, r)
		}
		if got := ok(t, "xattr get", img, "/d/a/tool", "security.capability"); got != string(caps) {
			t.Errorf("--owner %q: capabilities %x", flag, got)
		}
		fsck(t, img)
	}
	for _, bad := range []string{"x", "-1", "1:2:3", "4294967296"} {
		if r := cmd(t, nil, "import --owner="+bad+" src x.img /"); r.status != 2 {
			t.Errorf("--owner %s: %+v", bad, r)
		}
	}
}

// TestImportAttributes: attributes as each program writes them, and what is not understood is named.
func TestImportAttributes(t *testing.T) {
	img := newImage(t, "8M")
	list := func(entries ...uint32) string { // tag, permissions, id
		v := binary.LittleEndian.AppendUint32(nil, 2)
		for i := 0; i < len(entries); i += 3 {
			v = binary.LittleEndian.AppendUint16(v, uint16(entries[i]))
			v = binary.LittleEndian.AppendUint16(v, uint16(entries[i+1]))
			v = binary.LittleEndian.AppendUint32(v, entries[i+2])
		}
		return string(v)
	}
	const none = 0xFFFFFFFF
	plain := list(1, 6, none, 2, 4, 1000, 4, 4, none, 16, 6, none, 32, 4, none)
	for i, c := range []struct {
		records    []string
		name, want string
		err        string
	}{
		{[]string{"SCHILY.xattr.user.k%3Dv=1"}, "user.k=v", "1", ""},
		{[]string{"SCHILY.xattr.user.%25%3D%253D=2"}, "user.%=%3D", "2", ""},
		{[]string{"SCHILY.xattr.user.p%41=3"}, "user.p%41", "3", ""},
		{[]string{"SCHILY.xattr.user.n=a\x00=\n%"}, "user.n", "a\x00=\n%", ""},
		{[]string{"LIBARCHIVE.xattr.user.k%3Dv%25x=YWJj"}, "user.k=v%x", "abc", ""},
		{[]string{"LIBARCHIVE.xattr.user.b=!!"}, "", "", "LIBARCHIVE.xattr.user.b: "},
		{[]string{"SCHILY.acl.access=user::rw-,user:1000:r--,group::r--,mask::rw-,other::r--"}, "system.posix_acl_access", plain, ""},
		{[]string{"SCHILY.acl.access=user::rw-\nuser:1000:r--\ngroup::r--\nmask::rw-\nother::r--\n"}, "system.posix_acl_access", plain, ""},
		{[]string{"SCHILY.acl.access=u::6,group::r--,other::r--"}, "", "", "permissions"},
		{[]string{"SCHILY.acl.access=user::rw-,group::r--,other:r--,user:someone:r--:1000,mask:rw-"}, "system.posix_acl_access", plain, ""},
		{[]string{"SCHILY.acl.access=user::rw-,user:nobodyhasthis:r--,group::r--,mask::rw-,other::r--"}, "", "", `user "nobodyhasthis"`},
		{[]string{"SCHILY.acl.access=user::rw-,user:inside:r--,group::r--,mask::rw-,other::r--"}, "system.posix_acl_access", plain, ""},
		{[]string{"SCHILY.acl.access=user::rw-,user:1000:r--,group::r--,other::r--"}, "", "", "system.posix_acl_access: "},
		{[]string{"SCHILY.acl.access=user::rw-,group::r--,other::r--"}, "", "", ""},
		{[]string{"SCHILY.acl.ace=owner@:rwx::allow"}, "", "", "SCHILY.acl.ace is not understood"},
		{[]string{"RHT.security.selinux=system_u:object_r:etc_t:s0"}, "security.selinux", "system_u:object_r:etc_t:s0\x00", ""},
		{[]string{"SCHILY.xattr.com.apple.quarantine=x"}, "", "", "com.apple.quarantine: "},
		{[]string{"SCHILY.xattr.system.data=x"}, "", "", "system.data: "},
		{[]string{"SCHILY.xattr.user.large=" + strings.Repeat("x", 70000)}, "", "", "user.large: "},
		{[]string{"SCHILY.fflags=nodump"}, "", "", "SCHILY.fflags is not understood"},
		{[]string{"LIBARCHIVE.creationtime=1", "SCHILY.dev=1", "comment=x", "GNU.volume.label=x"}, "", "", ""},
	} {
		file := fmt.Sprintf("f%d", i)
		r := importBytes(t, img, whole(rawHeader("etc/", '5', 0, nil), member("etc/passwd", "root:x:0:0::/:\ninside:x:1000:1000::/:\n"), paxHeader(c.records...),
			member(file, "data")))
		unknown := strings.Contains(c.err, "not understood") // a warning
		if (r.status == 0) != (c.err == "" || unknown) || !strings.Contains(r.err, c.err) || c.err == "" && r.err != "" {
			t.Errorf("%q: %+v", c.records, r)
		}
		if ok(t, "cat", img, "/d/"+file) != "data" {
			t.Errorf("%q: the file is not there", c.records)
		}
		var got string
		if c.name != "" {
			got = ok(t, "xattr get", img, "/d/"+file, c.name)
		} else if all := ok(t, "xattr list", img, "/d/"+file); all != "" {
			t.Errorf("%q: %s", c.records, all)
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.records, got, c.want)
		}
	}
	fsck(t, img)
}

// TestImportKeepsOld: what does not fit replaces nothing.
func TestImportKeepsOld(t *testing.T) {
	for _, size := range []int{500 << 10, 20 << 20} {
		for _, data := range []string{"old", strings.Repeat("o", 1200<<10)} {
			img := newImage(t, "8M", "-b", "1024")
			if r := importBytes(t, img, whole(member("f", data))); r.status != 0 {
				t.Fatalf("%+v", r)
			}
			fill := ""
			if size < 1<<20 {
				fill = strings.Repeat("x", 6<<20)
			}
			r := importBytes(t, img, whole(member("fill", fill), member("f", strings.Repeat("n", size))))
			if r.status != 1 || !strings.Contains(r.err, "no space left") || ok(t, "cat", img, "/d/f") != data {
				t.Errorf("%d bytes over %d: %+v", size, len(data), r)
			}
			fsck(t, img)
		}
	}
}

// TestImportHostTrouble: a file that cannot be read whole is named, and the rest goes on.
func TestImportHostTrouble(t *testing.T) {
	img, dir := newImage(t, "32M"), t.TempDir()
	deep := dir
	for range 60 {
		deep = filepath.Join(deep, strings.Repeat("d", 50))
	}
	if err := errorsOf(os.MkdirAll(deep, 0o755), os.WriteFile(filepath.Join(deep, "f"), []byte("deep"), 0o644), os.WriteFile(filepath.Join(dir, "z"), []byte("z"), 0o644)); err != nil {
		t.Fatal(err)
	}
	ok(t, "import", dir, img, "/deep")
	if got := ok(t, "cat", img, "/deep"+deep[len(dir):]+"/f"); got != "deep" {
		t.Errorf("%q", got)
	}
	src := "/sys/kernel/mm/transparent_hugepage" // files that have less than they say
	if _, err := os.Stat(src); err != nil {
		t.Skip("judge missing: sysfs")
	}
	r := cmd(t, nil, "import", src, img, "/sys")
	if r.status != 1 || !strings.Contains(r.err, "zeros in their place") || !strings.HasPrefix(ok(t, "cat", img, "/sys/enabled"), "always") &&
		!strings.Contains(ok(t, "cat", img, "/sys/enabled"), "never") {
		t.Errorf("%+v", r)
	}
	fsck(t, img)
}

// TestImportBigSparse: the time goes by what is stored.
func TestImportBigSparse(t *testing.T) {
	img := newImage(t, "64M", "-b", "4096")
	start := time.Now()
	for i, size := range []int64{20 << 30, 200 << 30, 8 << 40} {
		text := fmt.Sprintf("2\n%d\n%d\n%d\n%d\n", size/2+3, 10, size, 0)
		a := whole(paxHeader("GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=big", fmt.Sprint("GNU.sparse.realsize=", size)),
			append(append(rawHeader("GNUSparseFile.0/big", '0', tarBlock+10, nil), padded(text)...), padded("0123456789")...))
		if r := importBytes(t, img, a); r.status != 0 {
			t.Fatalf("%d: %+v", i, r)
		}
		if out := ok(t, "extents --json", img, "/d/big"); !strings.Contains(out, fmt.Sprintf(`"size": %d`, size)) {
			t.Errorf("%s", out)
		}
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	fsck(t, img)
}

// TestImportSparse: maps in all formats that GNU tar and bsdtar write, of files with many shapes, against what the programs
// were given.
func TestImportSparse(t *testing.T) {
	dir := t.TempDir()
	shapes := map[string][]int64{ // offsets and lengths of data, and the size
		"empty": {0}, "hole": {3 << 20}, "start": {0, 5000, 2 << 20}, "end": {4<<20 - 3, 3, 4 << 20}, "odd": {4097, 1, 70001, 999, 1500001, 4096, 5000003},
		"small": {100000, 1, 100001},
	}
	var many []int64
	for i := int64(0); i < 200; i++ {
		many = append(many, i*16384, 4096)
	}
	shapes["many"] = append(many, 200*16384)
	for name, s := range shapes {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(s); i += 2 {
			if _, err := f.WriteAt(bytes.Repeat([]byte(name[:1]), int(s[i+1])), s[i]); err != nil {
				t.Fatal(err)
			}
		}
		if err := errorsOf(f.Truncate(s[len(s)-1]), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	want := listTree(t, dir)
	for name, args := range map[string][]string{
		"gnu": {"tar", "-S", "--format=gnu"}, "0.0": {"tar", "-S", "--format=posix", "--sparse-version=0.0"},
		"0.1": {"tar", "-S", "--format=posix", "--sparse-version=0.1"}, "1.0": {"tar", "-S", "--format=posix", "--sparse-version=1.0"},
		"bsd": {"bsdtar", "--format=pax"}, "bsd gnu": {"bsdtar", "--format=gnutar"},
	} {
		if !judge.Has(args[0]) {
			t.Logf("judge missing: %s", args[0])
			continue
		}
		file := filepath.Join(t.TempDir(), "a.tar")
		judge.Run(t, args[0], append(args[1:], "-C", dir, "-cf", file, ".")...)
		for _, bs := range []string{"1024", "4096"} {
			img, out := newImage(t, "32M", "-b", bs), filepath.Join(t.TempDir(), "out")
			ok(t, "import --tar", file, img, "/top")
			fsck(t, img)
			ok(t, "export", img, "/top", out)
			if got := listTree(t, out); !sameButTimes(got, want) {
				t.Errorf("%s, blocks of %s:\n%s\nwant:\n%s", name, bs, got, want)
			}
			if used := ok(t, "stat --json", img, "/top/hole"); !strings.Contains(used, `"blocks": 0`) {
				t.Logf("%s: %s", name, used)
			}
		}
	}
}

// sameButTimes compares listings without the fractions of times, which not every format has, and the times of the top.
func sameButTimes(a, b string) bool {
	cut := func(s string) (out []string) {
		for line := range strings.Lines(s) {
			f := strings.Fields(line)
			if len(f) == 2 && strings.Contains(f[0], ".") && len(f[0]) > 15 {
				f[0], _, _ = strings.Cut(f[0], ".")
			}
			out = append(out, strings.Join(f, " "))
		}
		return out
	}
	return strings.Join(cut(a), "\n") == strings.Join(cut(b), "\n")
}

// TestImportHostileMaps: a map that makes no sense is an error of that member, soon and without memory.
func TestImportHostileMaps(t *testing.T) {
	pax := func(size, data string, records ...string) []byte {
		return append(paxHeader(append(records, "GNU.sparse.realsize="+size, "GNU.sparse.size="+size)...), member("f", data)...)
	}
	v1 := func(size, text, data string) []byte {
		return pax(size, string(padded(text))+data, "GNU.sparse.major=1", "GNU.sparse.minor=0")
	}
	old := func(real, off, n string, data string) []byte {
		h := rawHeader("f", 'S', len(data), func(h []byte) {
			copy(h[257:], "ustar  \x00")
			copy(h[386:], off)
			copy(h[398:], n)
			copy(h[483:], real)
		})
		return append(h, padded(data)...)
	}
	for i, a := range [][]byte{
		v1("100", "1\n50\n60\n", strings.Repeat("x", 60)), v1("100", "2\n50\n10\n40\n10\n", strings.Repeat("x", 20)), v1("100", "2\n10\n20\n20\n20\n", strings.Repeat("x", 40)),
		v1("-1", "0\n", ""), v1("100", "1\n-5\n10\n", strings.Repeat("x", 10)), v1("100", "1\n5\n-10\n", ""), v1("100", "9999999999\n", ""), v1("100", "-1\n", ""),
		v1("100", "1\n9223372036854775807\n9223372036854775807\n", ""), v1("9223372036854775807", "1\n9223372036854775800\n10\n", strings.Repeat("x", 10)),
		v1("9223372036854775808", "0\n", ""), v1("100", "x\n", ""), v1("100", "3\n1\n", ""), v1("100", strings.Repeat("1", 2000), ""), v1("100", "1\n0\n10\n", "short"),
		v1("100", "1\n0\n3\n", "longer"), v1("9223372036854775807", "1\n0\n1\n", "x"),
		pax("100", "x", "GNU.sparse.major=2", "GNU.sparse.minor=0"), pax("100", "x", "GNU.sparse.map=1"), pax("100", "x", "GNU.sparse.map=1,2,3"),
		pax("100", "x", "GNU.sparse.map=99,2"), pax("100", "x", "GNU.sparse.map=a,b"), pax("100", "x", "GNU.sparse.offset=1"),
		pax("100", "x", "GNU.sparse.numbytes=1"), pax("100", "x", "GNU.sparse.offset=1", "GNU.sparse.offset=1"),
		pax("100", strings.Repeat("x", 100)), old("00000000144", "00000000143", "00000000002", "xx"), old("00000000144", "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "00000000002", "xx"),
		old("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "00000000000", "00000000002", "xx"), pax("100", "x", "SUN.holesdata= 0 1"),
	} {
		img := newImage(t, "8M")
		start := time.Now()
		r := importBytes(t, img, whole(member("before", "1"), a, member("after", "2")))
		if took := time.Since(start); r.status != 1 || took > 5*time.Second || shown(t, img, "/d/f") != "" || ok(t, "cat", img, "/d/after") != "2" {
			t.Errorf("map %d: %v, %+v", i, took, r)
		}
		fsck(t, img)
	}
}

// TestImportTarWriters: what the standard library writes, in all its formats.
func TestImportTarWriters(t *testing.T) {
	long := strings.Repeat("long/", 50) + "name"
	for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatPAX, tar.FormatGNU} {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		name := long
		if format == tar.FormatUSTAR {
			name = strings.Repeat("d/", 70) + "f"
		}
		for _, h := range []*tar.Header{{Name: name, Size: 3, Mode: 0o600}, {Name: "link", Typeflag: tar.TypeSymlink, Linkname: name[:90]}, {Name: "hard", Typeflag: tar.TypeLink, Linkname: name[:min(len(name), 255)]}} {
			h.Format = format
			if h.Typeflag == tar.TypeLink && (format == tar.FormatUSTAR) {
				continue
			}
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if h.Size > 0 {
				if _, err := io.WriteString(w, "abc"); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		img := newImage(t, "8M")
		if r := importBytes(t, img, buf.Bytes()); r.status != 0 || ok(t, "cat", img, "/d/"+name) != "abc" {
			t.Errorf("%v: %+v", format, r)
		}
		fsck(t, img)
	}
}
