package main

import (
	"errors"
	"syscall"
)

// noMoreData: a search for data beyond the last is no failure.
func noMoreData(err error) error {
	if errors.Is(err, syscall.ENXIO) {
		return nil
	}
	return err
}
