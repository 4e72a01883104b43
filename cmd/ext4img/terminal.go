package main

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// This file is the only one that writes text: results by say, messages by complain. What an image, an archive, the host or
// the command line brought in reaches them as an argument, and every argument is escaped here. Bytes that are no text, the
// content of files and archives, go out by way of rawOutput.

// ours is text that the program made itself and that goes out as it is: colours, and text of several lines.
type ours string

// painted is a text in a colour: the parameters of the terminal's "select graphic rendition".
func painted(colour, text string) ours {
	return ours("\x1b[" + colour + "m" + escape(text) + "\x1b[0m")
}

// quoted is a text between quotation marks, escaped.
func quoted(text string) ours { return ours(`"` + strings.ReplaceAll(escape(text), `"`, `\"`) + `"`) }

// say prints a result.
func say(e *env, format string, args ...any) { printText(e.out, format, args...) }

// complain prints a message of one line on standard error: "ext4img: …".
func complain(to io.Writer, format string, args ...any) {
	var line strings.Builder
	printText(&line, format, args...)
	printText(to, "%s: %s\n", name, ours(line.String()))
}

// rawOutput is standard output for bytes that are no text.
func rawOutput(e *env) io.Writer { return e.out }

// messages is where complain writes to.
func messages(e *env) io.Writer { return e.err }

// printText is fmt.Fprintf with all arguments escaped. The format is a constant of the program. The error is that of the
// stream; standard output remembers it, so that only long lists need to look at it.
func printText(to io.Writer, format string, args ...any) error {
	if false {
		_ = fmt.Sprintf(format, args...) // tells vet to compare formats and arguments
	}
	safe := make([]any, len(args))
	for i, a := range args {
		safe[i] = harmless(a)
	}
	_, err := fmt.Fprintf(to, format, safe...)
	return err
}

// harmless is an argument that can be printed: a number or text of ours as it is, all else as escaped text.
func harmless(a any) any {
	switch v := a.(type) {
	case ours:
		return v
	case string:
		return escape(v)
	case []byte:
		return escape(string(v))
	case error:
		return escape(errorText(v))
	}
	switch k := reflect.ValueOf(a).Kind(); {
	case k >= reflect.Bool && k <= reflect.Float64:
		return a
	}
	return escape(fmt.Sprint(a))
}

// errorText is the text of an error in one line: errors that were joined are parted by semicolons.
func errorText(err error) string {
	text := err.Error()
	for e := err; e != nil; {
		switch u := e.(type) {
		case interface{ Unwrap() []error }:
			var raw, parts []string
			for _, part := range u.Unwrap() {
				raw, parts = append(raw, part.Error()), append(parts, errorText(part))
			}
			if joined := strings.Join(raw, "\n"); joined == e.Error() {
				text = strings.Replace(text, joined, strings.Join(parts, "; "), 1)
			}
			return text
		case interface{ Unwrap() error }:
			e = u.Unwrap()
		default:
			return text
		}
	}
	return text
}

// escape makes a text printable, and from what it prints the text can be had back exactly. A backslash is doubled; a
// control character, a character that is not seen or that reorders its neighbours, and a byte that is not UTF-8 become the
// escapes of printf(1) and of $'…' in shells: \n, \x1b, \xff for one byte, \u202e, \U000e0041 for a character.
func escape(s string) string {
	plain := 0
	for plain < len(s) {
		r, n := utf8.DecodeRuneInString(s[plain:])
		if r == '\\' || r == utf8.RuneError && n == 1 || hidden(r) {
			break
		}
		plain += n
	}
	if plain == len(s) {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:plain])
	for s = s[plain:]; len(s) > 0; {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case r == '\\':
			b.WriteString(`\\`)
		case !hidden(r):
			b.WriteRune(r)
		default:
			escapeRune(&b, r)
		}
		s = s[n:]
	}
	return b.String()
}

func escapeRune(b *strings.Builder, r rune) {
	letter := strings.IndexRune("\a\b\t\n\v\f\r", r)
	switch {
	case letter >= 0:
		b.WriteString(`\` + "abtnvfr"[letter:letter+1])
	case r < 0x80:
		fmt.Fprintf(b, `\x%02x`, r)
	case r < 0x10000:
		fmt.Fprintf(b, `\u%04x`, r)
	default:
		fmt.Fprintf(b, `\U%08x`, r)
	}
}

// hidden tells whether a character is not seen for itself: control and format characters, the separators of lines and
// paragraphs, spaces other than the common one, what has no assigned glyph, and letters and marks that are drawn as nothing.
func hidden(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' || r == 0x7F
	}
	return !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) || r == '\u2800'
}
