//go:build !linux

package xattr_test

import "testing"

func kernelAttrs(t *testing.T, _ string) map[string]string {
	t.Skip("judge missing: kernel")
	return nil
}

func kernelSet(t *testing.T, _, _, _ string) { t.Skip("judge missing: kernel") }

func kernelRemove(t *testing.T, _, _ string) { t.Skip("judge missing: kernel") }
