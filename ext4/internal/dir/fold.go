package dir

import (
	"fmt"
	"io/fs"

	"ext4img/ext4/layout"
)

// prepare determines which stored names equal name. In a casefolded directory, names are equal if their folded forms
// are; a name that is not valid in the encoding equals only the same bytes. In an encrypted directory, names are
// stored as ciphertext and cannot be folded.
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

// checkEncoding checks a new name. If the file system is strict, a name that cannot be folded is refused.
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

// hash is the hash of a name in the form that is compared. It returns false if this package cannot compute it.
func (f *file) hash(v layout.HashVersion, name string) (layout.NameHash, bool) {
	p := []byte(name)
	if f.casefold() && !f.encrypted() {
		if folded, ok := layout.FoldName(p); ok {
			p = folded
		}
	}
	return f.d.g.DirHash(v, p)
}
