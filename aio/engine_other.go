//go:build !linux

package aio

import "fmt"

// pickEngine says which engine the queues of f use, and why not a better one.
func pickEngine(_ *file, want, reason string) (string, string, error) {
	if want == EngineIOUring || want == EngineLibaio {
		return "", "", fmt.Errorf("engine %s: needs Linux", want)
	}
	return EngineSync, reason, nil
}

// Queue implements Device.
func (f *file) Queue(depth int) (Queue, error) { return newPool(f, depth) }
