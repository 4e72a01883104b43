package mount

// Atime says when reading changes the time of access.
type Atime int

// The values of Atime, as mount(8) names them.
const (
	Relatime    Atime = iota // when it is not after the last change, or a day old
	NoAtime                  // never
	StrictAtime              // always
)

// Options of Serve.
type Options struct {
	Source     string  // what mount(8) shows as the device
	AllowOther bool    // other users than the one that mounts may use the file system; permissions are checked always
	UID, GID   *uint32 // every file is shown with this owner or group; what is stored stays
	Atime      Atime
	NoDirAtime bool     // reading directories changes no time
	Flags      []string // suid, dev, noexec: of mount(8)
	// Log is told what happens beside the requests: damage with its place, and what ends the mount. It may be called from any
	// goroutine. Nil drops it.
	Log func(text string)
}
