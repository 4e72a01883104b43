// Package tree copies whole trees into a file system and out of it: directories of the host, and tar archives. It owns
// no bytes: it reads and makes files through package ext4.
//
//	ImportDir, ImportTar    host, archive ──▶ Entry ──▶ ext4.Maker, ext4.Filler
//	ExportDir, ExportTar    ext4.Walk ──▶ Entry ──▶ host, archive
//
// # What it promises
//
// Types, permissions, owners, times (to the nanosecond), hard and symbolic links, holes, devices and extended attributes come
// through, access control lists among them. An import touches nothing outside of the directory that it goes to, and an export
// nothing outside of its destination, whatever names and links the archive or the image holds. What one file lacks ends
// nothing: it is told to the Failed function of the options, and the rest goes on. What was there before stays until its
// successor is complete. Memory is bounded, whatever the size of the tree.
//
// # What it asks
//
// The file system is open for writing for an import. An import syncs at its end.
package tree
