// Package descriptors ends the program at its start, with one line and exit status 1, where the system grants too few file
// descriptors (ulimit -n). Without it Go's runtime and go-fuse end the program with a stack trace, go-fuse even before
// main. Go initializes packages in the order of their import paths as far as their imports allow, so this one, which
// imports the standard library alone, comes before those of other modules. It owns nothing.
package descriptors
