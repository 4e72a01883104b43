//go:build !linux

package aio

import "fmt"

// pickEngine sets the engine for the queues of f: only one exists here.
func pickEngine(f *file, want string) error {
	if want == EngineIOUring || want == EngineLibaio {
		return fmt.Errorf("engine %s: needs Linux", want)
	}
	f.engine = EngineSync
	return nil
}

// Queue implements Device.
func (f *file) Queue(depth int) (Queue, error) { return newPool(f, depth) }
