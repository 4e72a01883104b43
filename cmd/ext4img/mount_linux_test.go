//go:build !386 && !arm && !mips && !mipsle

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

// mounter builds the program, and makes a directory to mount on.
func mounter(t *testing.T) (program, dir string) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skip("judge missing: /dev/fuse")
	}
	f.Close()
	program, dir = filepath.Join(t.TempDir(), name), filepath.Join(t.TempDir(), "mnt")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return program, dir
}

// ended waits until the program in the background has let go of the image.
func ended(t *testing.T, img string) {
	t.Helper()
	judge.Run(t, "flock", "-w", "60", img, "true")
}

// TestMount mounts in the background, writes, unmounts, and waits for the lock on the image; then as a helper of mount(8).
func TestMount(t *testing.T) {
	program, dir := mounter(t)
	img := newImage(t, "64M")
	helper := filepath.Join(filepath.Dir(program), "mount.fuse.ext4img")
	if err := os.Symlink(program, helper); err != nil {
		t.Fatal(err)
	}
	for i, line := range [][]string{
		{program, "mount", "-o", "noatime,commit=1", img, dir},
		{helper, img, dir, "-o", "rw,nofail,x-systemd.automount,user"},
		{helper, "-sn", img, dir, "-t", "fuse.ext4img"},
	} {
		judge.Run(t, line[0], line[1:]...)
		file := filepath.Join(dir, "file"+string(rune('0'+i)))
		if err := os.WriteFile(file, []byte("content\n"), 0o644); err != nil {
			t.Error(err)
		}
		if r := cmd(t, nil, "put", file, img, "/other"); r.status != exitFailed {
			t.Errorf("an image in use: status %d: %s", r.status, r.err)
		}
		judge.Run(t, "umount", dir)
		ended(t, img)
		fsck(t, img)
		if got := ok(t, "cat", img, "/"+filepath.Base(file)); got != "content\n" {
			t.Errorf("content: %q", got)
		}
	}
}

// TestMountEnds: SIGTERM unmounts, and what was in the kernel's cache is there; a program that is killed loses nothing that was
// synced.
func TestMountEnds(t *testing.T) {
	program, dir := mounter(t)
	img := newImage(t, "64M")
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		c := exec.Command(program, "mount", "--foreground", img, dir)
		c.Stderr = os.Stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, sig.String())
		mounted(t, dir)
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString("content\n")
		if sig == syscall.SIGKILL {
			if err := f.Sync(); err != nil {
				t.Error(err)
			}
		}
		f.Close()
		if err := c.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
		_ = judge.Command(t, "umount", dir).Run() // what a killed program leaves
		if sig == syscall.SIGKILL {
			ok(t, "journal recover", img)
		}
		fsck(t, img)
		if got := ok(t, "cat", img, "/"+sig.String()); got != "content\n" {
			t.Errorf("%v: content: %q", sig, got)
		}
	}
}

// TestMountKilled kills the program at random moments while another writes: every time the image recovers, e2fsck finds no
// fault with it, and each file that fsync has returned for is whole.
func TestMountKilled(t *testing.T) {
	program, dir := mounter(t)
	img := newImage(t, "64M", "-b", "1024")
	rounds := 4
	if effort.Long() {
		rounds = 20
	}
	seed := effort.Seed(t, 0)
	random := rand.New(rand.NewPCG(seed, 0))
	var synced []string
	for round := range rounds {
		c := exec.Command(program, "mount", "--foreground", img, dir)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		mounted(t, dir)
		done := make(chan []string)
		go func() { done <- writeUntilKilled(dir, round) }()
		kill := time.After(time.Duration(50+random.IntN(400)) * time.Millisecond) // the moment is what is tested
		<-kill
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
		synced = append(synced, <-done...)
		_ = judge.Command(t, "umount", dir).Run()
		ok(t, "journal recover", img)
		fsck(t, img)
		for _, name := range synced {
			if got := ok(t, "cat", img, "/"+name); got != contentOf(name) {
				t.Fatalf("round %d: %s: %d bytes, want %d", round, name, len(got), len(contentOf(name)))
			}
		}
	}
	if len(synced) == 0 {
		t.Error("nothing was synced")
	}
}

func contentOf(name string) string { return strings.Repeat(name, 1000) }

// writeUntilKilled writes files, each durable before the next, until the file system fails, and returns those that are.
func writeUntilKilled(dir string, round int) (synced []string) {
	for i := 0; ; i++ {
		name := fmt.Sprintf("f%d.%d", round, i%50)
		f, err := os.Create(filepath.Join(dir, name+".new"))
		if err != nil {
			return synced
		}
		_, err = f.WriteString(contentOf(name))
		if err == nil {
			err = f.Sync()
		}
		if e := f.Close(); err != nil || e != nil {
			return synced
		}
		if err := os.Rename(filepath.Join(dir, name+".new"), filepath.Join(dir, name)); err != nil {
			return synced
		}
		d, err := os.Open(dir)
		if err != nil {
			return synced
		}
		err = d.Sync()
		if e := d.Close(); err != nil || e != nil {
			return synced
		}
		if i < 50 {
			synced = append(synced, name)
		}
	}
}

// TestMountAsUser: a user who owns the image and the directory needs no more than fusermount3.
func TestMountAsUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root: cannot become somebody else")
	}
	judge.Need(t, "setpriv", "fusermount3", "flock")
	program, dir := mounter(t)
	img := newImage(t, "32M", "-E", "root_owner=65534:65534")
	for _, name := range []string{img, dir} {
		if err := os.Chown(name, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		for up := filepath.Dir(name); up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
			if err := os.Chmod(up, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	as := []string{"--reuid", "65534", "--regid", "65534", "--clear-groups"}
	judge.Run(t, "setpriv", append(as, program, "mount", img, dir)...)
	judge.Run(t, "setpriv", append(as, "sh", "-ec", "echo content > "+dir+"/f; mkdir "+dir+"/d; cmp "+dir+"/f /dev/null && exit 1; fusermount3 -u "+dir)...)
	ended(t, img)
	fsck(t, img)
	if got := ok(t, "cat", img, "/f"); got != "content\n" {
		t.Errorf("content: %q", got)
	}
}

// mounted waits until a directory is a mount.
func mounted(t *testing.T, dir string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		var s syscall.Statfs_t
		const fuseMagic = 0x65735546
		if err := syscall.Statfs(dir, &s); err == nil && s.Type == fuseMagic {
			return
		}
	}
	t.Fatal("no mount after a minute")
}

// TestMountOptions: what cannot be understood, or done, is an error before anything is opened.
func TestMountOptions(t *testing.T) {
	for line, want := range map[string]string{
		"mount a":                     "too few arguments",
		"mount -o nonsense a b":       `unknown option "nonsense"`,
		"mount -o allow_root a b":     "allow_root",
		"mount -o uid=x a b":          "uid=x",
		"mount -o gid=4294967295 a b": "gid=4294967295",
		"mount -o commit=-1 a b":      "commit=-1",
		"mount -o size=5 a b":         `unknown option "size"`,
		"mount -o partition=x a b":    "partition",
	} {
		if r := cmd(t, nil, line); r.status != exitUsage || !strings.Contains(r.err, want) {
			t.Errorf("%s: status %d: %s", line, r.status, r.err)
		}
	}
	if o, err := parseMountFlags([]string{"ro,fsname=x", "rw,suid,nosuid,dev,commit=0"}); err != nil || o.readOnly || o.Source != "x" || o.commit != commitInterval || len(o.Flags) != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	if line, fake := helperLine([]string{"/sbin/mount.fuse.ext4img", "a", "b", "-f", "-o", "ro"}); !fake || strings.Join(line, " ") != "ext4img mount a b -o ro" {
		t.Errorf("%q, %v", line, fake)
	}
	if line, fake := helperLine([]string{"ext4img", "-f"}); fake || len(line) != 2 {
		t.Errorf("%q, %v", line, fake)
	}
}
