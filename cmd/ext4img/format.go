package main

import (
	"time"

	"ext4img/ext4"

	"github.com/dustin/go-humanize"
)

// rate is a number of bytes for each second.
func rate(n int64, took time.Duration) string {
	if took <= 0 {
		return "0 B"
	}
	return humanize.IBytes(uint64(float64(n) / took.Seconds()))
}

// commits is how many transactions have been committed.
func commits(s ext4.Stats) uint64 { return s.Journal.Commits }
