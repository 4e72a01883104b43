package aio

// requestState is what an engine keeps in a request while it owns it.
type requestState struct {
	done int // bytes transferred so far
	cut  cut
}
