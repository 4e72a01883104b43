package tree

import (
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strings"

	"ext4img/ext4"
)

// Keywords of extended headers under which archives keep attributes.
const (
	paxXattr      = "SCHILY.xattr." // GNU tar, bsdtar, star: the value as it is
	paxArchive    = "LIBARCHIVE.xattr."
	paxACLAccess  = "SCHILY.acl.access"
	paxACLDefault = "SCHILY.acl.default"
	paxSELinux    = "RHT.security.selinux"
)

// paxKnown are keywords that need no warning: they are dealt with elsewhere, or tell nothing that a file system keeps. Those
// that end in a dot are the beginnings of several.
var paxKnown = []string{
	"path", "linkpath", "size", "uid", "gid", "uname", "gname", "atime", "mtime", "ctime", "comment", "charset", "hdrcharset",
	"GNU.", "SCHILY.dev", "SCHILY.ino", "SCHILY.nlink", "SCHILY.realsize", "SCHILY.devmajor", "SCHILY.devminor", "SCHILY.filetype",
	"SCHILY.offset", "SCHILY.dir", "SCHILY.volhdr.", "SCHILY.archtype", "SCHILY.release", "SCHILY.volno", "SCHILY.tarfiletype",
	"LIBARCHIVE.creationtime", "LIBARCHIVE.symlinktype", "VENDOR.",
}

func paxIsKnown(key string) bool {
	for _, k := range paxKnown {
		if k == key || strings.HasSuffix(k, ".") && strings.HasPrefix(key, k) {
			return true
		}
	}
	return false
}

// tarXattrs are the attributes of a member. lookup finds the number of a user or group; failed is told what cannot be had,
// and unknown a keyword that is not understood.
func tarXattrs(records map[string]string, lookup func(user bool, name string) (uint32, bool), failed func(key string, err error),
	unknown func(key string)) map[string][]byte {
	all := map[string][]byte{}
	for key, value := range records {
		if name, ok := strings.CutPrefix(key, paxXattr); ok {
			all[decodeXattrName(name)] = []byte(value)
		}
	}
	put := func(key, name string, value []byte, err error) {
		if err != nil {
			failed(key, err)
		} else if _, have := all[name]; !have && value != nil {
			all[name] = value
		}
	}
	for _, key := range slices.Sorted(maps.Keys(records)) {
		value := records[key]
		name, archive := strings.CutPrefix(key, paxArchive)
		switch {
		case strings.HasPrefix(key, paxXattr):
		case archive:
			plain, err := url.PathUnescape(name)
			p, e := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
			if err == nil {
				err = e
			}
			put(key, plain, p, err)
		case key == paxACLAccess:
			p, err := parseACLText(value, lookup)
			put(key, ext4.XattrACLAccess, p, err)
		case key == paxACLDefault:
			p, err := parseACLText(value, lookup)
			put(key, ext4.XattrACLDefault, p, err)
		case key == paxSELinux:
			put(key, "security.selinux", append([]byte(strings.TrimRight(value, "\x00")), 0), nil) // the kernel's has a zero byte
		case !paxIsKnown(key):
			unknown(key)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// decodeXattrName undoes what GNU tar does to a name that is to be a keyword.
func decodeXattrName(name string) string {
	return strings.NewReplacer("%3D", "=", "%25", "%").Replace(name)
}
