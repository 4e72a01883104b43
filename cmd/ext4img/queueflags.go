package main

import (
	"ext4img/aio"

	"github.com/urfave/cli/v2"
)

// queueFlags say how requests go to the device.
func queueFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "iodepth", Value: 32, Usage: "`N` requests in flight"},
		&cli.StringFlag{Name: "engine", Value: aio.EngineAuto, Usage: "auto, io_uring, libaio or sync"},
	}
}

// checkQueueFlags refuses values that cannot work.
func checkQueueFlags(c *cli.Context) error {
	switch c.String("engine") {
	case aio.EngineAuto, aio.EngineIOUring, aio.EngineLibaio, aio.EngineSync:
	default:
		return usagef(c, "engine %q: must be auto, io_uring, libaio or sync", c.String("engine"))
	}
	if n := c.Int("iodepth"); n < 1 || n > 4096 {
		return usagef(c, "iodepth %d: must be 1 to 4096", n)
	}
	if n, _ := sizeOf(c, "bs"); n < 1 || n > 1<<28 {
		return usagef(c, "block size %d: must be 1 to 256M", n)
	}
	return nil
}
