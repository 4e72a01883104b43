package aio

import (
	"errors"
	"fmt"
)

// pickEngine says which engine the queues of f use, and why not a better one. It tries each by making a queue.
func pickEngine(f *file, want, reason string) (string, string, error) {
	for _, e := range candidates(want) {
		q, err := newQueue(f, e, 1)
		if err == nil {
			return e, reason, q.Close()
		}
		if want == e {
			return "", "", fmt.Errorf("engine %s: %w", e, err)
		}
		reason = join(reason, err.Error())
	}
	return "", "", errors.New("no engine works: " + reason)
}

// candidates lists the engines to try, best first.
func candidates(want string) []string {
	if want == "" || want == EngineAuto {
		return []string{EngineIOUring, EngineLibaio, EngineSync}
	}
	return []string{want}
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

func newQueue(f *file, engine string, depth int) (Queue, error) {
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
	q, err := newQueue(f, f.engine, depth)
	if err != nil {
		return nil, fmt.Errorf("%s: queue of depth %d: engine %s: %w", f.path, depth, f.engine, err)
	}
	return q, nil
}
