package aio

// registrar is a queue that can be told of the arena its buffers come from.
type registrar interface{ register(a *Arena) bool }

// Register tells a queue that buffers come from a, before its first Submit, and says whether the queue makes use of it:
// their pages are then pinned once and not for each request. The arena must stay open until the queue is closed.
func Register(q Queue, a *Arena) bool {
	r, ok := q.(registrar)
	return ok && r.register(a)
}
