package ext4

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ext4img/ext4/internal/names"
	"ext4img/ext4/layout"
)

// value is what an operation sets an attribute to.
func (o *operation) value() []byte {
	if names.IsACL(o.attr) {
		return randomACL(o.fill)
	}
	if o.attr == XattrCapability && o.fill%8 > 0 {
		return append([]byte{byte(o.fill & 1), 0, 0, 2}, content(o.fill, 16)...)
	}
	return content(o.fill, int(o.n))
}

func aclEntry(tag, perm uint16, id uint32) names.ACLEntry {
	return names.ACLEntry{Tag: tag, Perm: perm, ID: id}
}

// randomACL makes up a list, most of the time one that is well formed.
func randomACL(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 3))
	perm := func() uint16 { return uint16(r.IntN(8)) }
	list := names.ACL{aclEntry(layout.ACLUserObj, perm(), layout.ACLNoID)}
	named := r.IntN(3)
	for i := range named {
		list = append(list, aclEntry(layout.ACLUser, perm(), uint32(1000+i)))
	}
	list = append(list, aclEntry(layout.ACLGroupObj, perm(), layout.ACLNoID))
	for i := range r.IntN(3) {
		list = append(list, aclEntry(layout.ACLGroup, perm(), uint32(100+i)))
		named++
	}
	if named > 0 || r.IntN(3) == 0 {
		list = append(list, aclEntry(layout.ACLMask, perm(), layout.ACLNoID))
	}
	list = append(list, aclEntry(layout.ACLOther, perm(), layout.ACLNoID))
	switch i := r.IntN(len(list)); r.IntN(16) {
	case 0:
		list = append(list[:i], list[i+1:]...)
	case 1:
		list[i].Perm = 8
	case 2:
		list[i].Tag = uint16(r.IntN(70))
	case 3:
		list = nil
	case 4:
		list[i].ID = layout.ACLNoID
	case 5:
		list = append(list, list[i])
	}
	v := list.Encode()
	switch r.IntN(40) {
	case 0:
		v[0] = 1
	case 1:
		v = v[:r.IntN(len(v))]
	}
	return v
}

// TestACLs sets a default list and looks, through debugfs, at what is inherited and what chmod makes of it. Sets that the
// list's form forbids leave the file as it was.
func TestACLs(t *testing.T) {
	img := newImage(t, "16M", "-t", "ext4")
	fs, dev := openImage(t, img, Options{})
	list := names.ACL{aclEntry(layout.ACLUserObj, 7, layout.ACLNoID), aclEntry(layout.ACLUser, 6, 1000), aclEntry(layout.ACLGroupObj, 5, layout.ACLNoID), aclEntry(layout.ACLMask, 7, layout.ACLNoID),
		aclEntry(layout.ACLOther, 4, layout.ACLNoID)}
	must(t, fs.Mkdir("/d", Attr{Perm: 0o755}))
	must(t, fs.SetXattr("/d", XattrACLDefault, list.Encode(), 0, true))
	must(t, fs.Mkdir("/d/sub", Attr{Perm: 0o770}))
	f, err := fs.OpenFile("/d/sub/f", os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	must(t, f.Close())
	must(t, fs.Chmod("/d/sub/f", 0o610))
	for _, bad := range []struct {
		name, attr string
		value      []byte
		want       error
	}{
		{"/d/sub/f", XattrACLDefault, list.Encode(), syscall.EACCES},
		{"/d/sub/f", XattrACLAccess, list[:4].Encode(), syscall.EINVAL},
		{"/d/sub/f", XattrACLAccess, []byte{1, 0, 0, 0}, syscall.EOPNOTSUPP},
	} {
		if err := fs.SetXattr(bad.name, bad.attr, bad.value, 0, true); !errors.Is(err, bad.want) {
			t.Errorf("%s %s: %v, want %v", bad.name, bad.attr, err, bad.want)
		}
	}
	closeImage(t, fs, dev)
	fsckClean(t, img)
	for name, perms := range map[string][]uint16{
		"/d/sub default":  {7, 6, 5, 7, 4},
		"/d/sub access":   {7, 6, 5, 7, 0},
		"/d/sub/f access": {6, 6, 5, 1, 0},
	} {
		want := slices.Clone(list)
		for i := range want {
			if want[i].Perm = perms[i]; !want[i].Named() {
				want[i].ID = 0 // as debugfs has it
			}
		}
		path, kind, _ := strings.Cut(name, " ")
		got := debugfs(t, img, "ea_get "+path+" system.posix_acl_"+kind)
		if text := fmt.Sprintf("% x", want.Encode()); !strings.Contains(got, text) {
			t.Errorf("%s: %s, want %s", name, got, text)
		}
	}
	if got := debugfs(t, img, "stat /d/sub/f"); !strings.Contains(got, "Mode:  0610") {
		t.Error(got)
	}
}

// FuzzParseACL: a list that is taken is the list that it encodes to, and says of a mode what it was told to.
func FuzzParseACL(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(randomACL(seed), uint16(0o640))
	}
	f.Fuzz(func(t *testing.T, v []byte, mode uint16) {
		list, err := names.ParseACL(v)
		if err != nil || len(list) == 0 {
			return
		}
		if string(list.Encode()) != string(v) {
			t.Errorf("%x becomes %x", v, list.Encode())
		}
		if list.SetPerm(mode); list.Valid() && list.Perm() != mode&0o777 {
			t.Errorf("%x of mode %o says %o", v, mode, list.Perm())
		}
	})
}
