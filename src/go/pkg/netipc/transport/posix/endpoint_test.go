//go:build unix

package posix

import (
	"errors"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/vectors"
)

var nameErrors = map[string]error{"BAD_PARAM": ErrBadParam}

func TestServiceNameVectors(t *testing.T) {
	vectors.Each(t, "service_name", func(t *testing.T, v *vectors.Vector) {
		name := vectors.Decode[vectors.Bytes](t, v.Input)
		_, err := newEndpoint("/tmp", string(name))
		v.CheckError(t, err, nameErrors)
	})
}

func TestPathVectors(t *testing.T) {
	vectors.Each(t, "posix_paths", func(t *testing.T, v *vectors.Vector) {
		input := vectors.Decode[struct {
			RunDir  string `json:"run_dir"`
			Service string `json:"service"`
		}](t, v.Input)
		output := vectors.Decode[struct{ Socket string }](t, v.Output)
		e, err := newEndpoint(input.RunDir, input.Service)
		noError(t, err)
		socket, err := e.socketPath()
		if !v.Valid {
			// The vectors know one class for what is wrong with a name.
			wantError(t, err, ErrPathTooLong)
			return
		}
		if maxSocketPath < 107 && errors.Is(err, ErrPathTooLong) {
			t.Skipf("this system's paths end at %d bytes", maxSocketPath)
		}
		noError(t, err)
		if socket != output.Socket {
			t.Errorf("socket %s, expected %s", socket, output.Socket)
		}
	})
}

func TestRefusesADirectoryThatIsNone(t *testing.T) {
	for _, dir := range []string{"", "/run\x00/netdata"} {
		_, err := Connect(dir, "svc", nil)
		wantError(t, err, ErrBadParam)
	}
}
