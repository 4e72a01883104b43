//go:build !unix

package stress

import "runtime"

// maxRSS is the memory taken from the system, in bytes: the nearest there is here.
func maxRSS() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys)
}
