package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"
)

// jsonFlag asks for one JSON document.
func jsonFlag() cli.Flag { return &cli.BoolFlag{Name: "json", Usage: "print one JSON document"} }

// printJSON prints the document.
func printJSON(c *cli.Context, v any) error {
	e := json.NewEncoder(rawOutput(c))
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

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
