package ext4

import "ext4img/aio"

// The operations of a Request.
const (
	OpRead  = aio.Read
	OpWrite = aio.Write
)
