package aio

// registrar is a queue that can be told of the arena its buffers come from.
type registrar interface{ register(a *Arena) bool }

// Register tells a queue that buffers come from a, before its first Submit, and says whether the queue makes use of it:
// their pages are then pinned once and not for each request. The arena must stay open until the queue is closed.
func Register(q Queue, a *Arena) bool {
	r, ok := q.(registrar)
	return ok && r.register(a)
}

// pinner is a queue that can make use of a promise.
type pinner interface{ pin() bool }

// Pin promises that every call on q from now on comes from this goroutine, which stays on its thread until q is closed, and
// says whether the queue makes use of it. Then completions wait inside the kernel until Reap asks for them, instead of
// interrupting the thread, and Submit costs no system call: its requests start with the next Reap. Before the first Submit.
func Pin(q Queue) bool {
	p, ok := q.(pinner)
	return ok && p.pin()
}
