package main

import (
	"bufio"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// jsonFlag asks for one JSON document.
func jsonFlag() cli.Flag { return &cli.BoolFlag{Name: "json", Usage: "print one JSON document"} }

// printJSON prints a whole document.
func printJSON(e *env, v any) error {
	j := newJSON(rawOutput(e))
	j.value(v)
	return j.finish()
}

// jsonWriter writes one JSON document to standard output, piece by piece, so that a long one is never in memory. It differs
// from encoding/json in what it does with text: characters that drive a terminal, are not seen or reorder their neighbours
// are written as \u escapes; and a field X whose text is not UTF-8, as names in an image need not be, is followed by a field
// X_bytes with the bytes in base64 (of a list of texts: a list). Keys of maps have no such field: what comes from an image
// is a value. An error of the output is kept, and finish returns it.
type jsonWriter struct {
	w     *bufio.Writer
	open  []byte // the brackets that close what is open, outermost first
	first bool   // nothing yet in the innermost
	keyed bool   // a key has been written: its value is due
}

// newJSONList begins a document that is an array; nil if it is not wanted.
func newJSONList(e *env, wanted bool) *jsonWriter {
	if !wanted {
		return nil
	}
	j := newJSON(rawOutput(e))
	j.array()
	return j
}

// ended ends the document of a command that ended with err: one that was cut short stays open, so that it cannot pass for
// complete. A nil jsonWriter writes nothing.
func (j *jsonWriter) ended(err error) error {
	if j == nil || err != nil {
		return err
	}
	return j.finish()
}

// flatDepth is the number of levels that are laid out in lines; what is nested deeper follows in one, or the indentation of a
// deep tree would be longer than the tree.
const flatDepth = 32

func newJSON(to io.Writer) *jsonWriter {
	return &jsonWriter{w: bufio.NewWriterSize(to, 1<<12)}
}

// array begins an array; end ends it.
func (j *jsonWriter) array() { j.begin('[', ']') }

// object begins an object; end ends it.
func (j *jsonWriter) object() { j.begin('{', '}') }

func (j *jsonWriter) begin(opening, closing byte) {
	j.place()
	j.w.WriteByte(opening)
	j.open, j.first = append(j.open, closing), true
}

// end ends the innermost array or object.
func (j *jsonWriter) end() {
	last := len(j.open) - 1
	closing := j.open[last]
	j.open = j.open[:last]
	if !j.first {
		j.line()
	}
	j.w.WriteByte(closing)
	j.first = false
}

// finish ends the document and returns the first error of the output.
func (j *jsonWriter) finish() error {
	for len(j.open) > 0 {
		j.end()
	}
	j.w.WriteByte('\n')
	return j.w.Flush()
}

// place writes what stands before a value or a key.
func (j *jsonWriter) place() {
	if j.keyed {
		j.keyed = false
		return
	}
	if len(j.open) == 0 {
		return
	}
	if !j.first {
		j.w.WriteByte(',')
	}
	j.first = false
	j.line()
}

// line begins a line.
func (j *jsonWriter) line() {
	if n := len(j.open); n <= flatDepth {
		j.w.WriteByte('\n')
		for range n {
			j.w.WriteString("  ")
		}
	}
}

// key begins a field of an object: its value is what is written next.
func (j *jsonWriter) key(name string) {
	j.place()
	j.text(name)
	j.w.WriteString(": ")
	j.keyed = true
}

// value writes a value: an element of an array, or that of the key before. The error is that of the output; finish returns
// it, too.
func (j *jsonWriter) value(v any) error {
	j.reflected(reflect.ValueOf(v))
	_, err := j.w.Write(nil)
	return err
}

// field writes a field of an object: of text that is not UTF-8, its bytes in another.
func (j *jsonWriter) field(name string, v any) { j.reflectedField(name, reflect.ValueOf(v)) }

func (j *jsonWriter) reflectedField(name string, v reflect.Value) {
	j.key(name)
	j.reflected(v)
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch {
	case v.Kind() == reflect.String && !utf8.ValidString(v.String()):
		j.key(name + "_bytes")
		j.value(base64.StdEncoding.EncodeToString([]byte(v.String())))
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String && !allValid(v):
		j.key(name + "_bytes")
		j.array()
		for i := range v.Len() {
			j.value(base64.StdEncoding.EncodeToString([]byte(v.Index(i).String())))
		}
		j.end()
	}
}

func allValid(list reflect.Value) bool {
	for i := range list.Len() {
		if !utf8.ValidString(list.Index(i).String()) {
			return false
		}
	}
	return true
}

func (j *jsonWriter) reflected(v reflect.Value) {
	if !v.IsValid() {
		j.scalar([]byte("null"))
		return
	}
	if v.CanInterface() {
		switch v.Interface().(type) {
		case json.Marshaler, encoding.TextMarshaler:
			j.marshalled(v)
			return
		}
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		j.reflected(v.Elem())
	case reflect.String:
		j.place()
		j.text(v.String())
	case reflect.Struct:
		j.object()
		j.fields(v)
		j.end()
	case reflect.Map:
		j.mapping(v)
	case reflect.Slice, reflect.Array:
		j.list(v)
	default:
		j.marshalled(v)
	}
}

// list writes a slice or an array; bytes as base64.
func (j *jsonWriter) list(v reflect.Value) {
	if v.Type().Elem().Kind() == reflect.Uint8 || v.Kind() == reflect.Slice && v.IsNil() {
		j.marshalled(v)
		return
	}
	j.array()
	for i := range v.Len() {
		j.reflected(v.Index(i))
	}
	j.end()
}

// mapping writes a map by the order of its keys.
func (j *jsonWriter) mapping(v reflect.Value) {
	if v.IsNil() {
		j.marshalled(v)
		return
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		return strings.Compare(fmt.Sprint(a.Interface()), fmt.Sprint(b.Interface()))
	})
	j.object()
	for _, k := range keys {
		j.reflectedField(fmt.Sprint(k.Interface()), v.MapIndex(k))
	}
	j.end()
}

// fields writes those of a struct, by the tags of encoding/json.
func (j *jsonWriter) fields(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		tag := f.Tag.Get("json")
		if f.Anonymous && tag == "" {
			j.fields(v.Field(i))
			continue
		}
		name, option, _ := strings.Cut(tag, ",")
		if !f.IsExported() || tag == "-" || option == "omitempty" && isEmpty(v.Field(i)) || option == "omitzero" && v.Field(i).IsZero() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		j.reflectedField(name, v.Field(i))
	}
}

// isEmpty is what omitempty leaves out.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

// marshalled writes what encoding/json makes of a value: numbers, times.
func (j *jsonWriter) marshalled(v reflect.Value) {
	p, err := json.Marshal(v.Interface())
	if err != nil {
		p, _ = json.Marshal(err.Error()) // a channel, a function, NaN: no document has them
	}
	j.scalar(p)
}

// scalar writes a value that is JSON already. Characters that are not plain ASCII stand only in its texts.
func (j *jsonWriter) scalar(p []byte) {
	j.place()
	for _, r := range string(p) {
		j.char(r)
	}
}

// text writes a text in quotation marks. Bytes that are not UTF-8 become U+FFFD.
func (j *jsonWriter) text(s string) {
	j.w.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			j.w.WriteByte('\\')
			j.w.WriteByte(byte(r))
		case r == '\n':
			j.w.WriteString(`\n`)
		case r == '\r':
			j.w.WriteString(`\r`)
		case r == '\t':
			j.w.WriteString(`\t`)
		default:
			j.char(r)
		}
	}
	j.w.WriteByte('"')
}

// char writes a character, escaped if it is hidden.
func (j *jsonWriter) char(r rune) {
	switch {
	case !hidden(r):
		j.w.WriteRune(r)
	case r < 0x10000:
		fmt.Fprintf(j.w, `\u%04x`, r)
	default:
		hi, lo := utf16.EncodeRune(r)
		fmt.Fprintf(j.w, `\u%04x\u%04x`, hi, lo)
	}
}
