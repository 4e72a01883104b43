// Package ioend is the completed-IO state machine of one inode.
package ioend
