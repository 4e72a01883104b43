package aio

import "fmt"

// The engines: what carries the requests of a Queue.
const (
	EngineAuto    = "auto"     // the first of the following that works here
	EngineIOUring = "io_uring" // Linux
	EngineLibaio  = "libaio"   // Linux
	EngineSync    = "sync"     // a pool of goroutines with plain reads and writes: everywhere
)

// Options of Open. The zero value reads, directly, with the best engine.
type Options struct {
	Write  bool
	Engine string // "" is EngineAuto
	// Buffered uses the page cache even if direct I/O would work.
	Buffered bool
	// Warn, if not nil, is called at most once, to say that direct I/O is not possible. Describe says so as well.
	Warn func(message string)
}

// A Description says how a device does its I/O.
type Description struct {
	Path   string
	Engine string // the engine of its queues; "memory" if there is no file behind it
	Direct bool   // I/O does not use the page cache
	Reason string // why I/O is not direct, or why the engine is not a better one
	// SectorSize is the sector size of a block device, bytes; 0 for a file.
	SectorSize int
}

// Describe says how dev, or the device beneath it, does its I/O.
func Describe(dev Device) Description {
	for {
		switch d := dev.(type) {
		case *file:
			d.engineMu.Lock()
			defer d.engineMu.Unlock()
			return Description{Path: d.path, Engine: d.engine, Direct: d.direct, Reason: d.reason, SectorSize: d.sector}
		case interface{ Unwrap() Device }:
			dev = d.Unwrap()
		default:
			return Description{Engine: "memory"}
		}
	}
}

// checkEngine refuses an engine name that does not exist.
func checkEngine(name string) error {
	switch name {
	case "", EngineAuto, EngineIOUring, EngineLibaio, EngineSync:
		return nil
	}
	return fmt.Errorf("engine %q: must be one of auto, io_uring, libaio, sync", name)
}
