package main

import "testing"

func TestQuantilesAreWithinAHundredth(t *testing.T) {
	var h histogram
	const n = 1_000_000
	for ns := uint64(1); ns <= n; ns++ {
		h.record(ns)
	}
	for _, percent := range []uint64{1, 50, 99, 100} {
		exact := n * percent / 100
		if got := h.quantile(percent); got < exact || got > exact+exact/100 {
			t.Errorf("%d%%: %d, exactly %d", percent, got, exact)
		}
	}
}

func TestShortTimesAreExact(t *testing.T) {
	for ns := range uint64(2 * steps) {
		var h histogram
		h.record(ns)
		if got := h.quantile(50); got != ns {
			t.Errorf("%d is %d", ns, got)
		}
	}
}

func TestAnyTimeHasItsPlace(t *testing.T) {
	var h histogram
	h.record(1<<64 - 1)
	if got := h.quantile(99); got != 1<<64-1 {
		t.Errorf("the longest is %d", got)
	}
}
