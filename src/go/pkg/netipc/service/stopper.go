package service

import (
	"sync"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// An interrupter is something that is being waited for: Interrupt makes the wait end.
type interrupter interface{ Interrupt() }

// A stopper calls off what a client waits for, from other goroutines: for good until it
// is cleared, or for one call.
type stopper struct {
	mu        sync.Mutex
	aborted   bool
	call      uint64 // number of the call under way
	cancelled bool   // that call
	waiting   interrupter
}

// startCall returns the number of a call that begins now.
func (s *stopper) startCall() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call++
	s.cancelled = false
	return s.call
}

// begin names what the client is going to wait for. It fails with ErrAborted if there
// is to be no waiting.
func (s *stopper) begin(on interrupter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.aborted || s.cancelled {
		return protocol.ErrAborted
	}
	s.waiting = on
	return nil
}

func (s *stopper) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = nil
}

// stopped returns ErrAborted if there is to be no waiting.
func (s *stopper) stopped() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.aborted || s.cancelled {
		return protocol.ErrAborted
	}
	return nil
}

func (s *stopper) isAborted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.aborted
}

func (s *stopper) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aborted = true
	s.interrupt()
}

func (s *stopper) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aborted = false
}

// cancel calls off one call, unless it is over.
func (s *stopper) cancel(call uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.call == call {
		s.cancelled = true
		s.interrupt()
	}
}

func (s *stopper) interrupt() {
	if s.waiting != nil {
		s.waiting.Interrupt()
	}
}
