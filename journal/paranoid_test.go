//go:build paranoid

package journal

import "testing"

// TestNoCommitUnderHandle: a goroutine that waits for a commit while it holds a handle or a view waits for itself.
func TestNoCommitUnderHandle(t *testing.T) {
	r := newRig(t, FeatureCsumV3)
	for name, f := range map[string]func(){
		"Start":      func() { _, _ = r.Start(1) },
		"View":       func() { r.View() },
		"Commit":     func() { _ = r.Commit(r.Running()) },
		"CommitAll":  func() { _ = r.CommitAll() },
		"Checkpoint": func() { _ = r.Checkpoint() },
		"Close":      func() { _ = r.Close() },
	} {
		panics := func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		}
		t.Run(name, func(t *testing.T) {
			h, err := r.Start(1)
			r.must(err)
			panics(t)
			h.Cancel()
			v := r.View()
			panics(t)
			v.Close()
		})
	}
}
