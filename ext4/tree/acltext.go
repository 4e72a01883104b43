package tree

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ext4img/ext4/layout"
)

// aclLine is an entry of an access control list.
type aclLine struct {
	tag, perm uint16
	id        uint32
}

// parseACLText reads an access control list in the text form of acl(5), long or short, between commas or line ends, and gives
// the value of the attribute. A fourth field has the number of a name (star, bsdtar); without it lookup finds it.
func parseACLText(text string, lookup func(user bool, name string) (uint32, bool)) ([]byte, error) {
	var list []aclLine
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' }) {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimPrefix(strings.TrimSpace(line), "default:")
		if line == "" {
			continue
		}
		e, err := parseACLLine(line, lookup)
		if err != nil {
			return nil, fmt.Errorf("access control list: %w", err)
		}
		list = append(list, e)
	}
	if len(list) == 0 {
		return nil, nil
	}
	slices.SortStableFunc(list, func(a, b aclLine) int { return cmp.Or(cmp.Compare(a.tag, b.tag), cmp.Compare(a.id, b.id)) })
	v := binary.LittleEndian.AppendUint32(nil, layout.ACLVersion)
	for _, e := range list {
		v = binary.LittleEndian.AppendUint16(v, e.tag)
		v = binary.LittleEndian.AppendUint16(v, e.perm)
		v = binary.LittleEndian.AppendUint32(v, e.id)
	}
	return v, nil
}

func parseACLLine(line string, lookup func(user bool, name string) (uint32, bool)) (e aclLine, err error) {
	f := strings.Split(line, ":")
	if len(f) == 2 { // mask:rwx, other:rwx
		f = []string{f[0], "", f[1]}
	}
	if len(f) < 3 || len(f) > 4 {
		return e, fmt.Errorf("entry %q", line)
	}
	named := f[1] != ""
	tags := map[string][2]uint16{ // without and with a name
		"user": {layout.ACLUserObj, layout.ACLUser}, "u": {layout.ACLUserObj, layout.ACLUser},
		"group": {layout.ACLGroupObj, layout.ACLGroup}, "g": {layout.ACLGroupObj, layout.ACLGroup},
		"mask": {layout.ACLMask}, "m": {layout.ACLMask}, "other": {layout.ACLOther}, "o": {layout.ACLOther},
	}
	tag, e2 := tags[f[0]], 0
	if named {
		e2 = 1
	}
	if e.tag = tag[e2]; e.tag == 0 {
		return e, fmt.Errorf("entry %q", line)
	}
	for i, c := range strings.TrimSpace(f[2]) {
		switch at := strings.IndexRune("rwx", c); {
		case i > 2 || at < 0 && c != '-':
			return e, fmt.Errorf("permissions %q", f[2])
		case at >= 0:
			e.perm |= 4 >> at
		}
	}
	e.id = layout.ACLNoID
	if !named {
		return e, nil
	}
	number := f[1]
	if len(f) == 4 && f[3] != "" {
		number = f[3]
	}
	if n, err := strconv.ParseUint(number, 10, 32); err == nil && n != 1<<32-1 {
		e.id = uint32(n)
		return e, nil
	}
	if id, ok := lookup(e.tag == layout.ACLUser, f[1]); ok {
		e.id = id
		return e, nil
	}
	return e, fmt.Errorf("%s %q has no number here", map[bool]string{true: "user", false: "group"}[e.tag == layout.ACLUser], f[1])
}
