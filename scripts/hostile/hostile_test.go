package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func built(t *testing.T) string {
	t.Helper()
	for _, judge := range []string{"e2fsck", "debugfs", "sh"} {
		if _, err := exec.LookPath(judge); err != nil {
			t.Skip("judge missing: " + judge)
		}
	}
	program := filepath.Join(t.TempDir(), "ext4img")
	if out, err := exec.Command("go", "build", "-o", program, "ext4img/cmd/ext4img").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// TestPairs runs some pairs on a few images.
func TestPairs(t *testing.T) {
	found, err := hostile(options{pairs: 20, each: 2, only: -1, jobs: 2, seed: 7, program: built(t), bases: []string{"default-4k", "ext3", "inline"}})
	if err != nil || found > 0 {
		t.Errorf("%d found: %v", found, err)
	}
}

// TestFinds lets programs that do harm pass for the right one: each is found out.
func TestFinds(t *testing.T) {
	real := built(t)
	for name, harm := range map[string]string{
		"metadata":        `dd if=/dev/zero of="$image" bs=4096 seek=1 count=1 conv=notrunc 2>/dev/null; exit 0`,
		"refused, writes": `printf x | dd of="$image" bs=1 seek=100 conv=notrunc 2>/dev/null; echo "ext4img: x: open: no" >&2; exit 1`,
		"panic":           `echo "goroutine 1 [running]:" >&2; exit 2`,
		"slow":            `exec sleep 60`,
	} {
		program := filepath.Join(t.TempDir(), "program")
		script := fmt.Sprintf("#!/bin/sh\nfor image; do case $image in */worker-*/image) %s;; esac; done\nexec %s \"$@\"\n", harm, real)
		if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		if name == "slow" && testing.Short() {
			continue
		}
		found, err := hostile(options{pairs: 2, each: 2, only: -1, jobs: 1, seed: 7, program: program, bases: []string{"default-4k"}})
		if err != nil || found == 0 {
			t.Errorf("%s: %d found: %v", name, found, err)
		}
	}
}

// TestSame: a mutation is the same each time, and every class makes one on some image.
func TestSame(t *testing.T) {
	program := built(t)
	seen := map[string]bool{}
	for _, name := range []string{"default-1k", "ext3", "inline", "quota", "orphan-file"} {
		m, err := prepare(t.TempDir(), name, program)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 150 {
			a := mutate(m, 3, n)
			seen[a.class] = true
			if n%25 == 0 && string(mutate(m, 3, n).b) != string(a.b) {
				t.Errorf("%s: mutation %d differs from itself", name, n)
			}
		}
	}
	for _, c := range classes() {
		if !seen[c.name] {
			t.Errorf("class %s: none", c.name)
		}
	}
}
