//go:build !paranoid

package journal

// holder knows the goroutine that holds the handle, in paranoid builds.
type holder struct{}

func (holder) set()               {}
func (holder) clear()             {}
func (holder) mustNotHold(string) {}
