package ext4

import "ext4img/ext4/layout"

// replayFast applies the fast commits that follow the last full transaction.
func (fs *FS) replayFast() error {
	if fs.recovery == nil || len(fs.recovery.Fast) == 0 {
		return nil
	}
	return layout.Unsupportedf("%d fast commits", len(fs.recovery.Fast))
}
