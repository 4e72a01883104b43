package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ext4img/ext4/mount"
)

// mountFlags are the options of -o.
type mountFlags struct {
	mount.Options
	readOnly bool
	commit   time.Duration
	global   map[string]string // global flags of the command line that an option stands for
}

// commitInterval is how often a mounted file system commits, as the kernel's ext4.
const commitInterval = 5 * time.Second

// ignoredOptions are mount(8)'s own, and what is so anyway.
var ignoredOptions = []string{
	"defaults", "auto", "noauto", "user", "users", "nouser", "owner", "group", "nofail", "_netdev",
	"async", "default_permissions", "acl", "user_xattr", "diratime", "noiversion", "nolazytime", "big_writes",
}

// parseMountFlags reads lists of options. Later ones win.
func parseMountFlags(lists []string) (o mountFlags, err error) {
	o.commit, o.global = commitInterval, map[string]string{}
	for _, opt := range strings.Split(strings.Join(lists, ","), ",") {
		key, value, has := strings.Cut(opt, "=")
		switch {
		case opt == "" || strings.HasPrefix(opt, "x-") || strings.HasPrefix(opt, "comment="):
		case has:
			err = o.setValue(key, value)
		default:
			err = o.setFlag(opt)
		}
		if err != nil {
			return o, err
		}
	}
	return o, nil
}

func (o *mountFlags) setFlag(opt string) error {
	switch opt {
	case "ro":
		o.readOnly = true
	case "rw":
		o.readOnly = false
	case "allow_other":
		o.AllowOther = true
	case "allow_root":
		return fmt.Errorf("option allow_root: FUSE cannot do that without allow_other")
	case "relatime", "atime":
		o.Atime = mount.Relatime
	case "noatime":
		o.Atime = mount.NoAtime
	case "strictatime":
		o.Atime = mount.StrictAtime
	case "nodiratime":
		o.NoDirAtime = true
	case "suid", "dev", "noexec":
		o.Flags = append(o.Flags, opt)
	case "nosuid", "nodev", "exec":
		against := map[string]string{"nosuid": "suid", "nodev": "dev", "exec": "noexec"}[opt]
		o.Flags = slices.DeleteFunc(o.Flags, func(f string) bool { return f == against })
	default:
		if !slices.Contains(ignoredOptions, opt) {
			return fmt.Errorf("unknown option %q", opt)
		}
	}
	return nil
}

func (o *mountFlags) setValue(key, value string) error {
	switch key {
	case "uid", "gid":
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil || n == 1<<32-1 {
			return fmt.Errorf("option %s=%s: not a number of a user or group", key, value)
		}
		id := uint32(n)
		if key == "uid" {
			o.UID = &id
		} else {
			o.GID = &id
		}
	case "commit":
		n, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			return fmt.Errorf("option commit=%s: not a number of seconds", value)
		}
		if o.commit = time.Duration(n) * time.Second; n == 0 {
			o.commit = commitInterval
		}
	case "partition", "journal":
		o.global[key] = value
	case "fsname":
		o.Source = value
	case "subtype":
	default:
		return fmt.Errorf("unknown option %q", key)
	}
	return nil
}

// helperNames are the names under which mount(8) calls this program.
var helperNames = []string{"mount.fuse.ext4img", "mount.ext4img"}

// helperLine makes the command line of mount out of that of mount(8): IMAGE DIR [-sfnv] [-t TYPE] [-o OPTIONS]. fake tells
// that nothing is to be mounted.
func helperLine(args []string) (line []string, fake bool) {
	if len(args) == 0 || !slices.Contains(helperNames, filepath.Base(args[0])) {
		return args, false
	}
	line = []string{name, "mount"}
	for i := 1; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "-t":
			i++
		case arg == "-o" && i+1 < len(args):
			line = append(line, "-o", args[i+1])
			i++
		case len(arg) > 1 && arg[0] == '-' && strings.Trim(arg[1:], "sfnv") == "":
			fake = fake || strings.Contains(arg, "f")
		default:
			line = append(line, arg)
		}
	}
	return line, fake
}
