package windows

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/vectors"
)

func TestRegionVectors(t *testing.T) {
	vectors.Each(t, "windows_region", func(t *testing.T, v *vectors.Vector) {
		input := vectors.Decode[struct {
			Request  uint32 `json:"request_payload"`
			Response uint32 `json:"response_payload"`
			Profile  uint32 `json:"profile"`
		}](t, v.Input)
		output := vectors.Decode[struct {
			RequestOffset    uint32        `json:"request_offset"`
			RequestCapacity  uint32        `json:"request_capacity"`
			ResponseOffset   uint32        `json:"response_offset"`
			ResponseCapacity uint32        `json:"response_capacity"`
			Size             uint64        `json:"region_size"`
			Header           vectors.Bytes `json:"initial_header"`
		}](t, v.Output)
		l, err := newLayout(32+input.Request, 32+input.Response)
		if err != nil {
			t.Fatal(err)
		}
		want := regionLayout{output.RequestOffset, output.RequestCapacity, output.ResponseOffset, output.ResponseCapacity}
		if l != want || l.size() != output.Size {
			t.Errorf("layout %+v of %d bytes, expected %+v of %d", l, l.size(), want, output.Size)
		}
		region := make([]byte, l.size())
		l.writeHeader(region, input.Profile, 1024)
		if got := region[:regionHeaderLen]; hex.EncodeToString(got) != hex.EncodeToString(output.Header) {
			t.Errorf("header\n%x, expected\n%x", got, output.Header)
		}
		read, tries, err := readLayout(region, input.Profile)
		if err != nil || read != l || tries != 1024 {
			t.Errorf("reads as %+v, %d tries (%v)", read, tries, err)
		}
	})
}

func TestRefusesCapacitiesThatDoNotFitTheHeader(t *testing.T) {
	for _, c := range [][2]uint32{
		{0, 64}, {64, 0}, {math.MaxUint32, 64}, {64, math.MaxUint32}, {0xFFFFFFC1, 64}, {64, 0xFFFFFFC1},
		{0xFFFFFFC0, 64}, {0x80000000, 0x80000000}, {0x80000000, 0x7FFFFF80},
	} {
		if l, err := newLayout(c[0], c[1]); !errors.Is(err, ErrWinShmBadParam) {
			t.Errorf("%#x: %+v (%v)", c, l, err)
		}
	}
	if l, err := newLayout(0x7FFFFFC0, 0x7FFFFF80); err != nil || l.size() != 0xFFFFFFC0 {
		t.Errorf("largest region is %+v (%v)", l, err)
	}
}

func TestRefusesARegionThatIsNotWhatItShouldBe(t *testing.T) {
	const profile = 2
	l, err := newLayout(64, 128)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		offset int
		value  uint32
		want   error
	}{
		"magic":                   {offsetMagic, regionMagic + 1, ErrWinShmBadMagic},
		"version":                 {offsetVersion, 2, ErrWinShmBadVersion},
		"header":                  {offsetHeaderLen, 64, ErrWinShmBadHeader},
		"profile":                 {offsetProfile, 4, ErrWinShmBadProfile},
		"requests in the header":  {offsetRequestOffset, 64, ErrWinShmBadHeader},
		"requests not aligned":    {offsetRequestOffset, 129, ErrWinShmBadHeader},
		"no room for requests":    {offsetRequestCapacity, 0, ErrWinShmBadHeader},
		"requests not in lines":   {offsetRequestCapacity, 63, ErrWinShmBadHeader},
		"requests over responses": {offsetRequestCapacity, 128, ErrWinShmBadHeader},
		"requests without end":    {offsetRequestCapacity, 0xFFFFFFC0, ErrWinShmBadHeader},
		"responses in the header": {offsetResponseOffset, 64, ErrWinShmBadHeader},
		"responses over requests": {offsetResponseOffset, 128, ErrWinShmBadHeader},
		"responses not aligned":   {offsetResponseOffset, 200, ErrWinShmBadHeader},
		"no room for responses":   {offsetResponseCapacity, 0, ErrWinShmBadHeader},
		"responses over the end":  {offsetResponseCapacity, 192, ErrWinShmBadHeader},
		"responses without end":   {offsetResponseCapacity, 0xFFFFFFC0, ErrWinShmBadHeader},
	} {
		region := make([]byte, l.size())
		l.writeHeader(region, profile, 1)
		binary.NativeEndian.PutUint32(region[c.offset:], c.value)
		if _, _, err := readLayout(region, profile); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, expected %v", name, err, c.want)
		}
	}
	if _, _, err := readLayout(make([]byte, regionHeaderLen-1), profile); !errors.Is(err, ErrWinShmBadHeader) {
		t.Errorf("a mapping that is too short: %v", err)
	}
}

func FuzzReadLayout(f *testing.F) {
	l, err := newLayout(64, 128)
	if err != nil {
		f.Fatal(err)
	}
	region := make([]byte, l.size())
	l.writeHeader(region, 2, 1)
	f.Add(region[:regionHeaderLen], uint16(l.size()))
	f.Fuzz(func(t *testing.T, header []byte, size uint16) {
		region := make([]byte, size)
		copy(region, header)
		l, _, err := readLayout(region, 2)
		if err != nil {
			return
		}
		// Both areas are there, and apart from the header and each other.
		requests, responses := region[l.requestOffset:][:l.requestCapacity], region[l.responseOffset:][:l.responseCapacity]
		clear(region[:regionHeaderLen])
		for i := range requests {
			requests[i] = 1
		}
		for i := range responses {
			responses[i] = 2
		}
		for name, area := range map[string][]byte{"\x00": region[:regionHeaderLen], "\x01": requests, "\x02": responses} {
			if len(area) == 0 || bytes.Count(area, []byte(name)) != len(area) {
				t.Fatalf("areas lie over each other: %+v", l)
			}
		}
	})
}
