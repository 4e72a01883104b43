package check

import (
	"slices"
	"testing"

	"ext4img/ext4/layout"
)

// A turn is a change to an image with which the check must end as e2fsck -fn does, wherever that is.
type turn struct {
	name, image string
	change      func(e *editor)
}

var turns = slices.Concat(xattrTurns)

func TestAgreesWithE2fsck(t *testing.T) {
	for _, k := range turns {
		t.Run(k.image+"/"+k.name, func(t *testing.T) {
			t.Parallel()
			e := edit(t, k.image)
			k.change(e)
			r := run(t, e.dev)
			status, out := e2fsckSays(t, e.dev)
			want := status & (ExitProblems | ExitCannotCheck)
			if want&ExitProblems != 0 {
				want = ExitProblems
			}
			if got := r.ExitStatus(true); got != want {
				t.Errorf("status %d, e2fsck ends with %d: %s\n%s", got, status, summary(r), out)
			}
		})
	}
}

// bodyXattr changes the first attribute in the record of a file.
func (e *editor) bodyXattr(name string, change func(entry []byte)) {
	e.t.Helper()
	e.change(name, func(in layout.Inode) {
		at := 128 + int(le.Uint16(in[0x80:]))
		if le.Uint32(in[at:]) != xattrMagic {
			e.t.Fatalf("%s: no attributes", name)
		}
		change(in[at+4:])
	})
}

var xattrTurns = []turn{
	{"empty value nowhere", "nocsum", func(e *editor) {
		e.bodyXattr("hello", func(p []byte) { le.PutUint16(p[2:], 0xFFFC); clear(p[8:16]) })
	}},
	{"empty value elsewhere", "nocsum", func(e *editor) {
		e.bodyXattr("hello", func(p []byte) { le.PutUint16(p[2:], 1); clear(p[8:16]) })
	}},
}
