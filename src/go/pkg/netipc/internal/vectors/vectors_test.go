package vectors

import "testing"

// Where each target is tested. The last describes internals this
// module does not share.
var testedBy = map[string]string{
	"header":                    "protocol",
	"chunk":                     "protocol",
	"hello":                     "protocol",
	"hello_ack":                 "protocol",
	"batch":                     "protocol",
	"increment":                 "protocol",
	"string_reverse":            "protocol",
	"cgroups_snapshot_request":  "protocol",
	"cgroups_snapshot_response": "protocol",
	"cgroups_lookup_request":    "protocol",
	"cgroups_lookup_response":   "protocol",
	"apps_lookup_request":       "protocol",
	"apps_lookup_response":      "protocol",
	"cgroups_lookup_dispatch":   "protocol",
	"apps_lookup_dispatch":      "protocol",
	"snapshot_build":            "protocol",
	"batch_build":               "protocol",
	"server_handshake":          "internal/session",
	"client_handshake":          "internal/session",
	"receive":                   "internal/session",
	"send":                      "internal/session",
	"next_pow2":                 "internal/session",
	"increment_service":         "internal/service",
	"service_name":              "transport/posix, transport/windows",
	"posix_paths":               "transport/posix",
	"posix_region":              "transport/posix",
	"posix_region_attach":       "transport/posix",
	"windows_names":             "transport/windows",
	"windows_region":            "transport/windows",
	"fnv1a64":                   "transport/windows",
	"djb2":                      "not applicable: the cache indexes with a Go map",
}

func TestKnowsWhoTestsEveryTarget(t *testing.T) {
	for _, v := range All(t) {
		if testedBy[v.Target] == "" {
			t.Errorf("%s: nobody tests target %s", v.ID, v.Target)
		}
	}
}
