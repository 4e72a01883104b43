package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
	"unicode/utf8"
)

// jsonOf is the document that is printed for a value.
func jsonOf(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	if err := printJSON(&env{out: &b}, v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// filler fills values at random; texts are made of letters.
type filler struct {
	*rand.Rand
	letters []string
}

func (f filler) fill(v reflect.Value, depth int) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(f.Int64N(1<<34), f.Int64N(1e9)).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		s := ""
		for range f.IntN(4) {
			s += f.letters[f.IntN(len(f.letters))]
		}
		v.SetString(s)
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() || field.Anonymous {
				f.fill(v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		if n := f.IntN(4); n > 0 && depth < 12 {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n-1))
			for i := range n - 1 {
				f.fill(v.Index(i), depth+1)
			}
		}
	case reflect.Pointer:
		if f.IntN(2) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem(), depth+1)
		}
	case reflect.Interface:
		v.Set(reflect.ValueOf([]any{7, "x", uint64(1) << 63, true, []string{"a"}, map[string]int{"b": 2, "a": 1}, 1.5}[f.IntN(7)]))
	default:
		f.number(v)
	}
}

func (f filler) number(v reflect.Value) {
	switch {
	case v.CanInt():
		v.SetInt(f.Int64() >> f.IntN(64))
	case v.CanUint():
		v.SetUint(f.Uint64() >> f.IntN(64))
	case v.CanFloat():
		v.SetFloat(f.Float64() * 1e6)
	case v.Kind() == reflect.Bool:
		v.SetBool(f.IntN(2) > 0)
	}
}

// documents are the types that are printed.
func documents() []any {
	return []any{
		&[]fileEntry{}, &[]statEntry{}, &treeNode{}, &[]*fileMap{}, &imageInfo{}, &logInfo{}, &recoverResult{}, &verifyResult{}, &[]xattrEntry{},
		&xattrEntry{}, &writeResult{}, &stressResult{},
	}
}

// TestJSONPlain: of plain text, what encoding/json makes.
func TestJSONPlain(t *testing.T) {
	seed := rand.Uint64()
	f := filler{rand.New(rand.NewPCG(seed, 0)), []string{"a", "/", " ", `"`, `\`, "\n", "\t", "\r", "\x1b", "\x00", "\x1f", "<", "é", "日", "🙂", "\ufffd"}}
	for _, doc := range documents() {
		for range 50 {
			f.fill(reflect.ValueOf(doc).Elem(), 0)
			var b bytes.Buffer
			e := json.NewEncoder(&b)
			e.SetIndent("", "  ")
			e.SetEscapeHTML(false)
			if err := e.Encode(doc); err != nil {
				t.Fatal(err)
			}
			if got := jsonOf(t, doc); got != b.String() {
				t.Fatalf("seed %d: %T:\n%s\nwant\n%s", seed, doc, got, b.String())
			}
		}
	}
}

// TestJSONBytes: a field that is not UTF-8 is given by another one, in every document, and nothing that is hidden goes out.
func TestJSONBytes(t *testing.T) {
	seed := rand.Uint64()
	f := filler{rand.New(rand.NewPCG(seed, 0)), []string{"a", "\xff", "\xfe", "\xc3", "é", "\x7f", "\u009b", "\u202e", "\u2066", "\u200b", "\u2028", "\ufeff",
		"\U000e0041", "\U000e0100", "\ufffd", "\xed\xa0\x80"}}
	for _, doc := range documents() {
		for range 50 {
			f.fill(reflect.ValueOf(doc).Elem(), 0)
			out := jsonOf(t, doc)
			for _, r := range out {
				if hidden(r) && r != '\n' {
					t.Fatalf("seed %d: %T: U+%04X in %s", seed, doc, r, out)
				}
			}
			var back any
			if err := json.Unmarshal([]byte(out), &back); err != nil {
				t.Fatalf("seed %d: %T: %v: %s", seed, doc, err, out)
			}
			if !sameTexts(t, reflect.ValueOf(doc).Elem(), back) {
				t.Fatalf("seed %d: %T: %s", seed, doc, out)
			}
		}
	}
}

// sameTexts compares all texts of a value with the document that was made of it.
func sameTexts(t *testing.T, v reflect.Value, doc any) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return v.IsNil() || sameTexts(t, v.Elem(), doc)
	case reflect.Slice:
		list, _ := doc.([]any)
		for i := range v.Len() {
			if v.Type().Elem().Kind() != reflect.String && !sameTexts(t, v.Index(i), list[i]) {
				return false
			}
		}
	case reflect.Struct:
		object, ok := doc.(map[string]any)
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if field.Anonymous && !sameTexts(t, v.Field(i), doc) || ok && field.IsExported() && !sameField(t, field, v.Field(i), object) {
				return false
			}
		}
	}
	return true
}

func sameField(t *testing.T, field reflect.StructField, v reflect.Value, object map[string]any) bool {
	name, _, _ := bytes.Cut([]byte(field.Tag.Get("json")), []byte(","))
	key := string(name)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch {
	case v.Kind() == reflect.String:
		got, _ := object[key].(string)
		return sameText(t, v.String(), got, object[key+"_bytes"])
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String:
		texts, _ := object[key].([]any)
		raw, _ := object[key+"_bytes"].([]any)
		for i := range v.Len() {
			var b any
			if !utf8.ValidString(v.Index(i).String()) {
				b = raw[i]
			}
			if !sameText(t, v.Index(i).String(), texts[i].(string), b) {
				return false
			}
		}
		return true
	}
	return key == "" || object[key] == nil || sameTexts(t, v, object[key])
}

func sameText(t *testing.T, want, got string, raw any) bool {
	if utf8.ValidString(want) {
		return got == want && raw == nil
	}
	s, _ := raw.(string)
	p, err := base64.StdEncoding.DecodeString(s)
	if err != nil || string(p) != want {
		t.Errorf("%q: %q, bytes %v", want, got, raw)
		return false
	}
	return true
}

// TestJSONDeep: a deep tree is not mostly indentation.
func TestJSONDeep(t *testing.T) {
	root := treeNode{Name: "x"}
	for range 3000 {
		root = treeNode{Name: "x", Children: []treeNode{root}}
	}
	out := jsonOf(t, root)
	var back treeNode
	if err := json.Unmarshal([]byte(out), &back); err != nil || !reflect.DeepEqual(back, root) || len(out) > 3000*100 {
		t.Errorf("%v, %d bytes", err, len(out))
	}
}
