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
	// Buffered goes through the page cache, although direct I/O might work.
	Buffered bool
	// Warn is told, at most once, that direct I/O was not possible. nil: nobody is; Describe still says so.
	Warn func(message string)
}

// A Description says how a device does its I/O.
type Description struct {
	Path   string
	Engine string // of its queues; "memory" if there is no file behind it
	Direct bool   // past the page cache
	Reason string // why not Direct, or why not a better engine
	// SectorSize is that of a block device, bytes; 0 for a file.
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
