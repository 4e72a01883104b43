package aio

import (
	"errors"
	"fmt"
)

// pickEngine finds the engine for the queues of f. It tries each by making a queue.
func pickEngine(f *file, want string) error {
	f.engines = candidates(want)
	q, err := f.newQueue(1)
	if err != nil {
		return err
	}
	return q.Close()
}

// candidates lists the engines to try, best first.
func candidates(want string) []string {
	if want == "" || want == EngineAuto {
		return []string{EngineIOUring, EngineLibaio, EngineSync}
	}
	return []string{want}
}

// newQueue makes a queue with the first engine that works, and removes the engines before it from the list. An engine
// that worked when f was opened may fail later, because all of the system's asynchronous I/O is in use.
func (f *file) newQueue(depth int) (Queue, error) {
	f.engineMu.Lock()
	defer f.engineMu.Unlock()
	var errs []error
	for i, e := range f.engines {
		q, err := f.queueOf(e, depth)
		if err != nil {
			errs = append(errs, fmt.Errorf("engine %s: %w", e, err))
			continue
		}
		f.engines, f.engine = f.engines[i:], e
		for _, err := range errs {
			f.reason = join(f.reason, err.Error())
		}
		return q, nil
	}
	return nil, errors.Join(errs...)
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

func (f *file) queueOf(engine string, depth int) (Queue, error) {
	switch engine {
	case EngineIOUring:
		return newUring(f, depth)
	case EngineLibaio:
		return newLibaio(f, depth)
	}
	return newPool(f, depth)
}

// Queue implements Device.
func (f *file) Queue(depth int) (Queue, error) {
	if depth < 1 || depth > maxDepth {
		return nil, ErrDepth
	}
	q, err := f.newQueue(depth)
	if err != nil {
		return nil, fmt.Errorf("%s: queue of depth %d: %w", f.path, depth, err)
	}
	return q, nil
}
