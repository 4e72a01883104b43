package ext4

import "ext4img/aio"

// What a Request does.
const (
	OpRead  = aio.Read
	OpWrite = aio.Write
)
