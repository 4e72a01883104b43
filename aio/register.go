package aio

// registrar is a queue that can be told from which arena its buffers come.
type registrar interface{ register(a *Arena) bool }

// Register tells a queue, before its first Submit, that its buffers come from a. It reports whether the queue makes
// use of that: the pages are then pinned once and not for each request. The arena must stay open until the queue is
// closed.
func Register(q Queue, a *Arena) bool {
	r, ok := q.(registrar)
	return ok && r.register(a)
}

// pinner is a queue that can make use of the promise of Pin.
type pinner interface{ pin() bool }

// Pin promises that from now on only this goroutine calls q, and that it stays on its thread until q is closed. It is
// called before the first Submit, and reports whether the queue makes use of the promise. Completions then wait
// inside the kernel until Reap asks for them, instead of interrupting the thread. Submit makes no system call: the
// requests start with the next Reap.
func Pin(q Queue) bool {
	p, ok := q.(pinner)
	return ok && p.pin()
}
