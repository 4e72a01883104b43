package aio

// pickEngine says which engine the queues of f use, and why not a better one.
func pickEngine(f *file, want, reason string) (string, string, error) {
	return EngineSync, reason, nil
}

// Queue implements Device.
func (f *file) Queue(depth int) (Queue, error) { return newPool(f, depth) }
