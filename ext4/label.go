package ext4

import (
	"strings"
	"syscall"

	"ext4img/journal"
)

// maxLabel is the greatest length of a volume name, bytes.
const maxLabel = 16

// SetLabel sets the name of the volume: at most 16 bytes, none of them zero.
func (f *FS) SetLabel(label string) error {
	if len(label) > maxLabel || strings.Contains(label, "\x00") {
		return pathError("label", label, syscall.EINVAL)
	}
	_, err := f.vol.Update(1, func(h *journal.Handle) error {
		s, err := f.vol.Space.EditSuper(h)
		if err == nil {
			s.SetVolumeName(label)
		}
		return err
	})
	return pathError("label", label, err)
}
