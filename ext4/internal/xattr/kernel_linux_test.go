package xattr_test

import (
	"strings"
	"syscall"
	"testing"
)

// kernelAttrs reads all attributes of a file through the kernel.
func kernelAttrs(t *testing.T, path string) map[string]string {
	t.Helper()
	buf := make([]byte, 1<<16)
	n, err := syscall.Listxattr(path, buf)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, name := range strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		v := make([]byte, 1<<16)
		n, err := syscall.Getxattr(path, name, v)
		if err != nil {
			t.Fatalf("%s: %s: %v", path, name, err)
		}
		out[name] = string(v[:n])
	}
	return out
}

func kernelSet(t *testing.T, path, name, value string) {
	t.Helper()
	if err := syscall.Setxattr(path, name, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

func kernelRemove(t *testing.T, path, name string) {
	t.Helper()
	if err := syscall.Removexattr(path, name); err != nil {
		t.Errorf("the kernel removes %s of %s: %v", name, path, err)
	}
}
