package dir

import (
	"fmt"
	"io/fs"

	"ext4img/ext4/layout"
)

// prepare sets what counts as the same name in this directory. In a casefolded one names are the same that fold to the
// same; one that is not valid in the encoding is only the same as its own bytes. In an encrypted one names are what is
// stored, and cannot be folded.
func (f *file) prepare(name string) error {
	if !f.casefold() || f.encrypted() {
		return nil
	}
	s, err := f.d.t.Space().Super(f.r)
	if err != nil {
		return err
	}
	if s.Encoding() != layout.EncodingUTF8 {
		return layout.Unsupportedf("directory %d: casefold with encoding %d", f.ino, s.Encoding())
	}
	folded, ok := layout.FoldName([]byte(name))
	if !ok {
		return nil
	}
	f.same = func(stored []byte) bool {
		p, ok := layout.FoldName(stored)
		return ok && string(p) == string(folded)
	}
	return nil
}

// checkEncoding tells whether a new name may be as it is: where the file system is strict, not if it cannot be folded.
func (f *file) checkEncoding(name string) error {
	if !f.casefold() {
		return nil
	}
	s, err := f.d.t.Space().Super(f.r)
	if err != nil {
		return err
	}
	if _, ok := layout.FoldName([]byte(name)); !ok && s.EncodingFlags()&layout.EncodingStrict != 0 {
		return fmt.Errorf("directory %d: name %q is not UTF-8: %w", f.ino, name, fs.ErrInvalid)
	}
	return nil
}

// hash is the hash of a name as it counts; false if this package cannot compute it.
func (f *file) hash(v layout.HashVersion, name string) (layout.NameHash, bool) {
	p := []byte(name)
	if f.casefold() && !f.encrypted() {
		if folded, ok := layout.FoldName(p); ok {
			p = folded
		}
	}
	return f.d.g.DirHash(v, p)
}
