package service

import "testing"

type counted int

func (c *counted) Interrupt() { *c++ }

func TestACancelledCallDoesNotStopTheNext(t *testing.T) {
	var s stopper
	first := s.startCall()
	s.startCall()
	var interrupted counted
	if err := s.begin(&interrupted); err != nil {
		t.Fatal(err)
	}
	s.cancel(first) // its context may say so late
	if err := s.stopped(); err != nil || interrupted != 0 {
		t.Fatalf("%v, interrupted %d times", err, interrupted)
	}
}
