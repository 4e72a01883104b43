package judge

import (
	"os/exec"
	"strings"
	"testing"
)

// Command prepares a run of a program, for tests that need its exit status, its standard output alone, another folder or
// another environment. Where plain success is wanted, use Run. It skips the test where the program is missing.
func Command(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	Need(t, name)
	return exec.Command(name, args...)
}

// Has tells whether a program is there, for tests in which it judges only a part.
func Has(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

// Feed runs a program that must succeed with a text as its standard input, and returns all that it says.
func Feed(t testing.TB, input, name string, args ...string) string {
	t.Helper()
	c := Command(t, name, args...)
	c.Stdin = strings.NewReader(input)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, last(out, 3000))
	}
	return string(out)
}

// Umount ends a mount of MountLoop. Where that fails, it is ended as soon as nobody uses it any more.
func Umount(t testing.TB, root string) {
	t.Helper()
	if out, err := exec.Command("umount", root).CombinedOutput(); err != nil {
		t.Errorf("umount: %v: %s", err, out)
		_ = exec.Command("umount", "--lazy", root).Run() // before the folder is removed
	}
}
