// Package vectors reads the golden and damaged messages every implementation of
// netipc is tested with. Only tests import it.
//
// They lie in the directory "vectors" at the root of the repository; a second
// directory can be named by the environment variable NETIPC_VECTORS.
package vectors

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A Vector is one test case; vectors/README.md says what the members mean.
type Vector struct {
	ID          string          `json:"id"`
	Target      string          `json:"target"`
	Valid       bool            `json:"valid"`
	Canonical   bool            `json:"canonical"`
	Hex         Bytes           `json:"hex"`
	Fields      json.RawMessage `json:"fields"`
	Error       string          `json:"error"`
	Rule        string          `json:"rule"`
	Context     json.RawMessage `json:"context"`
	Config      json.RawMessage `json:"config"`
	Session     json.RawMessage `json:"session"`
	Reply       *Bytes          `json:"reply"`
	Sends       Bytes           `json:"sends"`
	Packets     []Bytes         `json:"packets"`
	Replies     []Bytes         `json:"replies"`
	After       string          `json:"after"`
	Request     Bytes           `json:"request"`
	Budget      int             `json:"budget"`
	MaxItems    uint32          `json:"max_items"`
	Generation  uint64          `json:"generation"`
	Systemd     uint32          `json:"systemd_enabled"`
	Answers     json.RawMessage `json:"answers"`
	Items       json.RawMessage `json:"items"`
	Input       json.RawMessage `json:"input"`
	Output      json.RawMessage `json:"output"`
	Alternative struct {
		Error string `json:"error"`
		Hex   *Bytes `json:"hex"`
		Reply *Bytes `json:"reply"`
	} `json:"alternative"`
}

// Bytes is either a hex string or an object with one.
type Bytes []byte

// UnmarshalJSON reads either form.
func (b *Bytes) UnmarshalJSON(data []byte) error {
	var text string
	if data[0] == '{' {
		var object struct{ Hex string }
		if err := json.Unmarshal(data, &object); err != nil {
			return err
		}
		text = object.Hex
	} else if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	decoded, err := hex.DecodeString(text)
	*b = decoded
	return err
}

// Each runs f as a subtest for every vector of target and fails if there is none.
func Each(t *testing.T, target string, f func(t *testing.T, v *Vector)) {
	t.Helper()
	found := 0
	for _, v := range All(t) {
		if v.Target == target {
			found++
			t.Run(v.ID, func(t *testing.T) { f(t, v) })
		}
	}
	if found == 0 {
		t.Errorf("no vector for target %s", target)
	}
}

// All returns every vector there is.
func All(t testing.TB) []*Vector {
	t.Helper()
	var all []*Vector
	for _, dir := range directories(t) {
		files, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no vectors in %s (%v)", dir, err)
		}
		for _, file := range files {
			all = append(all, read(t, file)...)
		}
	}
	return all
}

func read(t testing.TB, file string) []*Vector {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var content struct {
		Format    int
		ByteOrder string `json:"byte_order"`
		Vectors   []*Vector
	}
	if err := json.Unmarshal(data, &content); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if content.Format != 1 || content.ByteOrder != "little" {
		t.Fatalf("%s: format %d, byte order %q", file, content.Format, content.ByteOrder)
	}
	return content.Vectors
}

// directories finds "vectors" above the package under test.
func directories(t testing.TB) []string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		candidate := filepath.Join(dir, "vectors")
		if _, err := os.Stat(filepath.Join(candidate, "envelope.json")); err == nil {
			dir = candidate
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("the directory vectors at the root of the repository is missing")
		}
		dir = parent
	}
	if extra := os.Getenv("NETIPC_VECTORS"); extra != "" {
		return []string{dir, extra}
	}
	return []string{dir}
}

// Decode reads one of a vector's raw members into value.
func Decode[T any](t testing.TB, raw json.RawMessage) (value T) {
	t.Helper()
	if len(raw) == 0 {
		return value
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// CheckError fails the test unless err is what the vector expects: nil if it is
// valid, else the error its class stands for in classes. The vector's alternative
// error passes too.
func (v *Vector) CheckError(t testing.TB, err error, classes map[string]error) {
	t.Helper()
	if err == nil && v.Valid {
		return
	}
	for _, class := range []string{v.Error, v.Alternative.Error} {
		if class == "" {
			continue
		}
		expected, ok := classes[class]
		if !ok {
			t.Fatalf("unknown error class %s", class)
		}
		if errors.Is(err, expected) {
			return
		}
	}
	t.Fatalf("%s: got %s, expected %s", v.Rule, describe(err), v.expectation())
}

func (v *Vector) expectation() string {
	if v.Valid {
		return "success"
	}
	return v.Error
}

func describe(err error) string {
	if err == nil {
		return "success"
	}
	return fmt.Sprintf("%q", err)
}
