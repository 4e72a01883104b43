package main

import (
	"strings"
	"testing"

	"ext4img/aio"
	"ext4img/ext4"
)

// namesImage has two files, a hard link, a symbolic link and directories.
func namesImage(t *testing.T) string {
	t.Helper()
	img := newImage(t, "16M")
	for _, name := range []string{"/a", "/b", "/c"} {
		ok(t, "put", sourceFile(t, "content of "+name), img, name)
	}
	ok(t, "mkdir -p", img, "/d/sub", "/e", "/imm")
	ok(t, "put", sourceFile(t, "content of /d/a"), img, "/d/a")
	ok(t, "ln", img, "/a", "/hard")
	ok(t, "ln -s", img, "d", "/dirlink")
	debugfsWrite(t, img, "sif /imm flags 0x80010")
	return img
}

// tree is what is in an image, for a comparison.
func treeOf(t *testing.T, img string) string {
	t.Helper()
	out := ok(t, "ls -lRi", img, "/")
	for _, name := range []string{"/a", "/b", "/c", "/d/a"} {
		out += debugfsSays(t, img, "cat "+name)
	}
	return out
}

// TestNamesRefused: what coreutils refuse is refused with one line, status 1, and nothing has changed.
func TestNamesRefused(t *testing.T) {
	img := namesImage(t)
	before := treeOf(t, img)
	for line, says := range map[string]string{
		"ln -f IMG /a /a": "/a is the same file", "ln -f IMG /b /b": "same file", "ln -f IMG /none /b": "does not exist", "ln -f IMG /d /b": "not permitted",
		"ln -f IMG /a /" + strings.Repeat("n", 256): "name too long", "ln -sf IMG b /b": "same file", "ln -sf IMG ./b /b": "same file",
		"ln -sf IMG /d/../b /b": "same file", "ln IMG /a /b": "exists", "ln -s IMG x /b": "exists", "ln -fT IMG /a /d": "directory", "ln -sfT IMG a /d": "directory",
		"ln -f IMG /a /none/x": "does not exist", "ln -f IMG /a /b/x": "not a directory", "ln -f IMG /a /imm": "not permitted", "ln -sf IMG a /imm/x": "not permitted",
		"mv IMG /a /a": "same file", "mv IMG /d /d": "below itself", "mv IMG /d /d/sub": "below itself", "mv IMG /none /b": "does not exist", "mv -T IMG /b /d": "directory",
		"mv IMG /b /imm": "not permitted", "mv IMG /b /" + strings.Repeat("n", 256): "name too long", "mv -n IMG /b /c": "exists", "mv IMG /b /c /none": "not a directory",
		"mv IMG /dirlink/a /d/a": "same file", "mkdir IMG /a": "exists", "mkdir -p IMG /a/x": "not a directory", "mkdir -p IMG /imm/x/y": "not permitted", "rm IMG /d": "directory",
		"rm -r IMG /d/.": "invalid argument", "rm -r IMG /d/sub/..": "not empty", "rm IMG /none": "does not exist", "chmod 600 IMG /none": "does not exist",
	} {
		r := cmd(t, nil, strings.ReplaceAll(line, "IMG", img))
		if r.status != 1 || strings.Count(r.err, "\n") != 1 || !strings.Contains(r.err, says) {
			t.Errorf("%s: status %d, %q, want %q", line, r.status, r.err, says)
		}
		if after := treeOf(t, img); after != before {
			t.Fatalf("%s has changed\n%s\nto\n%s", line, before, after)
		}
	}
	fsck(t, img)
}

// TestNamesGoOn: one of many that fails is named, the rest is done.
func TestNamesGoOn(t *testing.T) {
	for line, want := range map[string]string{ // what is there at the end; ! is not
		"mv IMG /a /none /b /e":         "/e/a /e/b !/a !/b",
		"mv IMG /a /d/a /e":             "/e/a /d/a !/a",
		"ln IMG /a /none /b /e":         "/e/a /e/b /a /b",
		"ln -sf IMG x/b y/b /e":         "/e/b",
		"rm IMG /a /none /d /b":         "!/a !/b /d /hard",
		"mkdir IMG /x /a /y":            "/x /y",
		"mkdir -p IMG /x/y /a/b /z/w":   "/x/y /z/w",
		"chmod 600 IMG /none /a /b":     "/a",
		"chown 5 IMG /a /none /b":       "/a",
		"touch IMG /t1 /none/t /t2":     "/t1 /t2",
		"rm -rf IMG /none /d /imm /e":   "!/d !/e /imm",
		"chmod -R 700 IMG /none /d /e":  "/d",
		"chown -R 1:1 IMG /d /none /e ": "/d",
	} {
		img := namesImage(t)
		r := cmd(t, nil, strings.ReplaceAll(line, "IMG", img))
		if r.status != 1 || strings.Count(r.err, "\n") < 1 || !strings.HasPrefix(r.err, "ext4img: "+strings.Fields(line)[0]+" ") {
			t.Errorf("%s: status %d, %q", line, r.status, r.err)
		}
		for _, name := range strings.Fields(want) {
			there := cmd(t, nil, "stat "+img+" "+strings.TrimPrefix(name, "!")).status == 0
			if there == strings.HasPrefix(name, "!") {
				t.Errorf("%s: want %s", line, name)
			}
		}
		fsck(t, img)
	}
}

// TestNamesDone: what is done as coreutils do it.
func TestNamesDone(t *testing.T) {
	for line, want := range map[string]string{ // NAME=CONTENT, or ! and a name that is gone
		"ln -f IMG /b /c":              "/b=content of /b, /c=content of /b",
		"ln -f IMG /b /hard":           "/a=content of /a, /hard=content of /b",
		"ln -f IMG /a /hard":           "/a=content of /a, /hard=content of /a",
		"ln -f IMG /b /e":              "/e/b=content of /b",
		"ln -f IMG /b /dirlink":        "/d/b=content of /b",
		"ln -sf IMG b /c":              "/c=content of /b",
		"ln -sfn IMG e /dirlink":       "/d/a=content of /d/a",
		"ln IMG /b /c /e":              "/e/b=content of /b, /e/c=content of /c",
		"mv IMG /b /c":                 "!/b, /c=content of /b",
		"mv IMG /a /hard":              "!/a, /hard=content of /a",
		"mv IMG /a /d":                 "!/a, /d/a=content of /a",
		"mv IMG /d /e":                 "/e/d/a=content of /d/a, !/d",
		"mv -T IMG /sub /e":            "!/sub",
		"mkdir -p -m 700 IMG /x/y /d":  "/a=content of /a",
		"rm -r IMG /d /dirlink":        "!/d, !/dirlink, /a=content of /a",
		"rm -r IMG /dirlink/":          "/d/a=content of /d/a, !/dirlink",
		"chmod -R u=rwX,go= IMG /d":    "/d/a=content of /d/a",
		"chmod -R 700 IMG /dirlink":    "/d/a=content of /d/a",
		"chown -R root:7 IMG /d":       "/d/a=content of /d/a",
		"touch IMG /new /a":            "/new=",
		"touch -c IMG /new":            "!/new",
		"mv IMG /dirlink /e":           "!/dirlink, /e/dirlink=, /d/a=content of /d/a",
		"ln IMG /dirlink /otherlink":   "/otherlink=",
		"ln -s IMG /none /e":           "/e/none=",
		"mkdir -m 1777 IMG /tmp":       "/a=content of /a",
		"chown -h 3 IMG /dirlink":      "/d/a=content of /d/a",
		"mkdir IMG /d/x/":              "/d/a=content of /d/a",
		"mkdir -p IMG /d/../q/./r/../": "!/r",
	} {
		img := namesImage(t)
		ok(t, "mkdir", img, "/sub")
		r := cmd(t, nil, strings.ReplaceAll(line, "IMG", img))
		if r.status != 0 || r.err != "" {
			t.Errorf("%s: status %d, %q", line, r.status, r.err)
			continue
		}
		for _, part := range strings.Split(want, ", ") {
			name, content, has := strings.Cut(part, "=")
			if !has {
				if cmd(t, nil, "stat "+img+" "+name[1:]).status == 0 {
					t.Errorf("%s: %s is there", line, name[1:])
				}
				continue
			}
			ok(t, "stat", img, name)
			if content != "" && ok(t, "cat", img, name) != content {
				t.Errorf("%s: %s is not %q", line, name, content)
			}
		}
		fsck(t, img)
	}
}

// TestTreesDeep: the commands for trees work deeper than a path can be long, and say which file it is when one fails.
func TestTreesDeep(t *testing.T) {
	const depth = 2500
	img := newImage(t, "64M", "-b", "1024", "-N", "4096")
	deepTree(t, img, depth)
	ok(t, "chmod -R 700", img, "/t")
	ok(t, "chown -R 5:6", img, "/t")
	if out := ok(t, "ls -lR", img, "/t"); strings.Count(out, "drwx------    2      5      6")+strings.Count(out, "drwx------    3      5      6") != depth-1 { // /t itself is not in its list
		t.Errorf("%d directories of %d have changed: %.300s", strings.Count(out, "drwx------"), depth, out)
	}
	ok(t, "rm -r", img, "/t")
	fsck(t, img)
}

// deepTree makes the directory /t, with one directory in it that has one in it, and so on.
func deepTree(t *testing.T, img string, depth int) {
	t.Helper()
	dev, err := aio.Open(img, aio.Options{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	f, err := ext4.Open(dev, ext4.Options{})
	if err != nil {
		t.Fatal(err)
	}
	at, name := f.Inode(ext4.RootIno), "t"
	for range depth {
		if at, err = at.Mkdir(name, ext4.Attr{Perm: 0o755}); err != nil {
			t.Fatal(err)
		}
		name = "d"
	}
	if err := errorsOf(f.Close(), dev.Close()); err != nil {
		t.Fatal(err)
	}
}
