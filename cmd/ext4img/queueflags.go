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

// queueOptions are what queueFlags and the flag bs say.
type queueOptions struct {
	depth int
	bs    int64 // bytes of one request
}

// parseQueue reads the flags and refuses values that cannot work.
func parseQueue(c *cli.Context) (o queueOptions, err error) {
	switch c.String("engine") {
	case aio.EngineAuto, aio.EngineIOUring, aio.EngineLibaio, aio.EngineSync:
	default:
		return o, usagef(c, "engine %q: must be auto, io_uring, libaio or sync", c.String("engine"))
	}
	if o.depth = c.Int("iodepth"); o.depth < 1 || o.depth > 4096 {
		return o, usagef(c, "iodepth %d: must be 1 to 4096", o.depth)
	}
	if o.bs, _ = sizeOf(c, "bs"); o.bs < 1 || o.bs > 1<<28 {
		return o, usagef(c, "block size %d: must be 1 to 256M", o.bs)
	}
	return o, nil
}
