package posix

import (
	"testing"
)

func BenchmarkSharedMemoryRoundTrip(b *testing.B) {
	dir := shortDir(b)
	server, err := ShmServerCreate(dir, "svc", 1, 4096, 4096)
	noError(b, err)
	defer server.ShmDestroy()
	client, err := ShmClientAttach(dir, "svc", 1)
	noError(b, err)
	defer client.ShmClose()
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := server.ShmReceive(buf, 0)
			if err != nil {
				return
			}
			if server.ShmSend(buf[:n]) != nil {
				return
			}
		}
	}()
	message, buf := make([]byte, 40), make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if err := client.ShmSend(message); err != nil {
			b.Fatal(err)
		}
		if _, err := client.ShmReceive(buf, 30000); err != nil {
			b.Fatal(err)
		}
	}
}
