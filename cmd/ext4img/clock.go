package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// clock is the source of new timestamps: SOURCE_DATE_EPOCH if it is set, else nil for the time of day.
func clock() (func() time.Time, error) {
	s := os.Getenv("SOURCE_DATE_EPOCH")
	if s == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("SOURCE_DATE_EPOCH %q: want seconds since 1970", s)
	}
	return func() time.Time { return time.Unix(n, 0) }, nil
}
