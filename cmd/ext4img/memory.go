package main

import (
	"os"
	"runtime/debug"
)

// memoryLimit is how much memory the program may take before its garbage collector works harder, bytes. What a command
// keeps is bounded far below; without a limit twice as much is taken before garbage is collected.
const memoryLimit = 192 << 20

// limitMemory sets the limit, unless the environment sets another.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}
