package tree

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// badHostName says why a name of an image can be none in a directory of this system.
func badHostName(name string) error {
	if runtime.GOOS == "windows" {
		return badWindowsName(name)
	}
	if !filepath.IsLocal(name) {
		return errHostName
	}
	return nil
}

var errHostName = errors.New("no name that this system can have")

// badWindowsName refuses names that Windows takes for something else: devices (CON, LPT1.txt), streams and drives (a:b),
// directories (a\b), and those that it would shorten.
func badWindowsName(name string) error {
	base, _, _ := strings.Cut(strings.ToUpper(name), ".")
	base = strings.TrimRight(base, " ")
	device := base == "CON" || base == "PRN" || base == "AUX" || base == "NUL" || base == "CONIN$" || base == "CONOUT$"
	for _, port := range []string{"COM", "LPT"} {
		digit, ok := strings.CutPrefix(base, port)
		device = device || ok && (len(digit) == 1 && digit >= "0" && digit <= "9" || digit == "¹" || digit == "²" || digit == "³")
	}
	special := strings.ContainsAny(name, `<>:"/\|?*`) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' })
	if device || special || name == "" || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") {
		return fmt.Errorf("%w: Windows", errHostName)
	}
	return nil
}
