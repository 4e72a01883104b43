package aio

// requestState is what the layers below the submitter keep in a request while they own it.
type requestState struct {
	done  int // bytes transferred so far
	tries int // refusals for the moment so far
	cut   cut
	epoch int // of a Trace: when it was submitted
}
