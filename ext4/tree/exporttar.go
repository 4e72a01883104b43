package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"ext4img/ext4"
	"ext4img/ext4/layout"
)

// toTar writes the tree as an archive. When it returns a hostFault, or an interrupt, the archive is cut off.
func (x *exporter) toTar(out io.Writer) error {
	top, err := x.directory()
	if err != nil {
		return err
	}
	t := &tarTree{x: x, w: tarWriter{to: out}}
	if err := x.walk(top, t); err != nil {
		return err
	}
	return t.w.close()
}

// tarTree makes a tree an archive. Holes become sparse members; owners are numbers; what is said of access control lists
// and labels stands there both as GNU tar's own records and as plain attributes.
type tarTree struct {
	x *exporter
	w tarWriter
}

func (t *tarTree) enter(it *exportItem) error {
	m, err := t.member(it)
	if err != nil {
		return err
	}
	m.Type = tarDir
	m.Name += "/"
	return t.w.header(m)
}

func (t *tarTree) leave() error { return nil }

func (t *tarTree) file(it *exportItem) error {
	kind, known := tarTypes[it.kind()]
	if it.kind() == layout.ModeSocket {
		t.x.o.LeftOut(it.path, errors.New("a socket, archives have none"))
		return nil
	}
	if !known {
		return errNoType
	}
	if it.LinkTo != "" {
		return t.w.header(&tarMember{Name: it.Name, Linkname: it.LinkTo, Type: tarLink, Mode: it.Mode & layout.ModePermMask,
			UID: it.UID, GID: it.GID, Mtime: it.Mtime, Atime: it.Atime})
	}
	if kind == tarRegular {
		return t.regular(it)
	}
	m, err := t.member(it)
	if err != nil {
		return err
	}
	m.Type, m.Linkname = kind, it.Target
	if kind != tarSymlink {
		m.Major, m.Minor = it.Major, it.Minor
	}
	return t.w.header(m)
}

// tarTypes are the types of members by those of files.
var tarTypes = map[uint16]byte{layout.ModeRegular: tarRegular, layout.ModeSymlink: tarSymlink, layout.ModeCharDev: tarChar,
	layout.ModeBlockDev: tarDevice, layout.ModeFIFO: tarFIFO}

// member is what headers have in common.
func (t *tarTree) member(it *exportItem) (*tarMember, error) {
	m := &tarMember{Name: it.Name, Mode: it.Mode & layout.ModePermMask, UID: it.UID, GID: it.GID, Mtime: it.Mtime, Atime: it.Atime}
	if err := t.x.xattrs(it); err != nil {
		return nil, err
	}
	room := tarHeaderMax - len(it.Name) - len(it.Target) - 4096
	for _, name := range slices.Sorted(maps.Keys(it.Xattrs)) {
		for _, r := range xattrRecords(name, it.Xattrs[name]) {
			if n := len(r.String()); n <= room {
				room -= n
				m.Records = append(m.Records, r)
			} else if err := t.x.failed(it.path, &xattrFault{name, errTarHeader}); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

// regular writes a regular file. Its map is read before its header, so a file that cannot be mapped is left out; content
// that cannot be read is replaced by zeros, for the header has been written, and named.
func (t *tarTree) regular(it *exportItem) error {
	in, data, err := t.x.open(it)
	if err != nil {
		return err
	}
	defer in.Close()
	m, err := t.member(it)
	if err != nil {
		return err
	}
	m.Type, m.Size = tarRegular, it.Size
	var sparseMap []byte
	if total(data) < it.Size {
		data = fewer(data, tarSpansMax)
		sparseMap = m.sparse(it.Size, data)
	}
	if err := t.w.header(m); err != nil {
		return err
	}
	if _, err := t.w.Write(sparseMap); err != nil {
		return err
	}
	return t.content(in, data)
}

// tarSpansMax bounds the map of a sparse member, so that package archive/tar reads it: two numbers of at most 15 digits each.
const tarSpansMax = tarHeaderMax/32 - 64

func (t *tarTree) content(in *ext4.File, data []span) error {
	for _, s := range data {
		n, err := t.x.copy.span(&t.w, in, s)
		if err == nil {
			continue
		}
		if t.x.ctx.Err() != nil || errors.As(err, new(*hostFault)) {
			return err
		}
		zeros := t.x.copy.buffer()
		for clear(zeros); t.w.left > 0; {
			if _, e := t.w.Write(zeros[:min(int64(len(zeros)), t.w.left)]); e != nil {
				return e
			}
		}
		return fmt.Errorf("zeros in the archive from byte %d on: %w", s.start+n, reason(err))
	}
	return nil
}

// xattrRecords are the records of an attribute: as GNU tar, bsdtar and star write it, and the form that tar's --acls
// and --selinux read.
func xattrRecords(name string, value []byte) []tarRecord {
	escaped := strings.NewReplacer("%", "%25", "=", "%3D").Replace(name)
	list := []tarRecord{{paxXattr + escaped, string(value)}}
	switch text, ok := aclText(value); {
	case name == "system.posix_acl_access" && ok:
		list = append(list, tarRecord{"SCHILY.acl.access", text})
	case name == "system.posix_acl_default" && ok:
		list = append(list, tarRecord{"SCHILY.acl.default", text})
	case name == "security.selinux":
		list = append(list, tarRecord{"RHT.security.selinux", string(bytes.TrimRight(value, "\x00"))})
	}
	return list
}

// aclText is an access control list, as system calls have it, in the form of acl_to_text(3) with numbers for names:
// version 2, then entries of tag, permissions and number.
func aclText(value []byte) (text string, ok bool) {
	tags := map[uint16]string{1: "user:", 2: "user:", 4: "group:", 8: "group:", 0x10: "mask:", 0x20: "other:"}
	if len(value) < 4 || (len(value)-4)%8 != 0 || binary.LittleEndian.Uint32(value) != 2 {
		return "", false
	}
	for e := value[4:]; len(e) > 0; e = e[8:] {
		tag, perm := binary.LittleEndian.Uint16(e), binary.LittleEndian.Uint16(e[2:])
		if tags[tag] == "" || perm > 7 {
			return "", false
		}
		text += tags[tag]
		if tag == 2 || tag == 8 {
			text += fmt.Sprint(binary.LittleEndian.Uint32(e[4:]))
		}
		letters := []byte(":rwx\n")
		for i, bit := range []uint16{4, 2, 1} {
			if perm&bit == 0 {
				letters[1+i] = '-'
			}
		}
		text += string(letters)
	}
	return text, text != ""
}
