package aio

// requestState is the data that the layers below the submitter keep in a request while they own it.
type requestState struct {
	done  int // bytes transferred so far
	tries int // how often the kernel put the request off so far
	cut   cut
}
