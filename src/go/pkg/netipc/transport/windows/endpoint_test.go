package windows

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/vectors"
)

var nameErrors = map[string]error{"BAD_PARAM": session.ErrBadParam}

func TestServiceNameVectors(t *testing.T) {
	vectors.Each(t, "service_name", func(t *testing.T, v *vectors.Vector) {
		_, err := BuildPipeName(`C:\run`, string(vectors.Decode[vectors.Bytes](t, v.Input)))
		v.CheckError(t, err, nameErrors)
	})
}

func TestHashVectors(t *testing.T) {
	vectors.Each(t, "fnv1a64", func(t *testing.T, v *vectors.Vector) {
		got := fmt.Sprintf("%016x", FNV1a64(vectors.Decode[vectors.Bytes](t, v.Input)))
		if want := vectors.Decode[string](t, v.Output); got != want {
			t.Errorf("got %s, expected %s", got, want)
		}
	})
}

func TestNameVectors(t *testing.T) {
	vectors.Each(t, "windows_names", func(t *testing.T, v *vectors.Vector) {
		input := vectors.Decode[struct {
			RunDir    string `json:"run_dir"`
			Service   string `json:"service"`
			Token     uint64 `json:"auth_token"`
			Profile   uint32 `json:"profile"`
			SessionID uint64 `json:"session_id"`
		}](t, v.Input)
		type names struct {
			Pipe          string `json:"pipe"`
			Mapping       string `json:"mapping"`
			RequestEvent  string `json:"request_event"`
			ResponseEvent string `json:"response_event"`
		}
		e, err := newEndpoint(input.RunDir, input.Service)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := e.objects(input.Token, input.SessionID, input.Profile)
		if err != nil {
			t.Fatal(err)
		}
		got := names{e.pipeName(), objects.mapping, objects.requestEvent, objects.responseEvent}
		if want := vectors.Decode[names](t, v.Output); got != want {
			t.Errorf("got %+v, expected %+v", got, want)
		}
	})
}

func TestNamesEndWithANUL(t *testing.T) {
	name, err := BuildPipeName("/run/netdata", "x")
	if err != nil || len(name) != len(`\\.\pipe\netipc-efc07ed598ac339b-x`)+1 || name[len(name)-1] != 0 || name[0] != '\\' {
		t.Errorf("%v (%v)", name, err)
	}
}

func TestRefusesNamesThatAreTooLong(t *testing.T) {
	const fits = longestName - len(`\\.\pipe\netipc-efc07ed598ac339b-`)
	if _, err := BuildPipeName("", strings.Repeat("x", fits)); err != nil {
		t.Errorf("the longest name: %v", err)
	}
	_, err := BuildPipeName("", strings.Repeat("x", fits+1))
	if !errors.Is(err, ErrPipeName) || !errors.Is(err, session.ErrBadParam) {
		t.Errorf("one more: %v", err)
	}
	// The names of shared memory are longer.
	e := endpoint{"", strings.Repeat("x", fits)}
	if _, err := e.objects(0, 1, 2); !errors.Is(err, session.ErrBadParam) {
		t.Errorf("shared memory: %v", err)
	}
}
