package main

import (
	"strings"
	"testing"
)

const stream = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"=== RUN   TestB\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:5: judge missing: e2fsck\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:7: judge missing: oracles\n"}
{"Action":"skip","Package":"p","Test":"TestC"}
{"Action":"output","Package":"p","Test":"TestD","Output":"    d_test.go:9: got 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"TestD"}
{"Action":"output","Package":"p","Test":"TestE","Output":"panic: boom\n"}
{"Action":"fail","Package":"p"}
{"Action":"fail","Package":"r","Test":"TestR"}
{"Action":"fail","Package":"r"}
{"Action":"build-output","ImportPath":"q","Output":"q.go:1: syntax error\n"}
{"Action":"fail","Package":"q","FailedBuild":"q"}
not json
`

func TestSummary(t *testing.T) {
	var out strings.Builder
	s := newSummary(&out)
	if err := s.read(strings.NewReader(stream)); err != nil {
		t.Fatal(err)
	}
	if !s.finish(true, true) {
		t.Error("a missing e2fsck was not held against the run")
	}
	text := out.String()
	for _, want := range []string{
		"judge missing: e2fsck: p TestB\n", "got 1, want 2", "panic: boom", "q.go:1: syntax error", "not json",
		"EXT4IMG_REQUIRE_JUDGES: e2fsck is missing",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "REQUIRE_JUDGES: oracles") {
		t.Error("the recorded judgements are not required")
	}
	if !strings.HasSuffix(text, "\n1 passed, 4 failed, 2 skipped\n") {
		t.Errorf("last line of\n%s", text)
	}
}
