package aio

import "os"

// checkUnused refuses what is mounted or attached.
func checkUnused(st os.FileInfo, block bool) error { return nil }
