package main

import (
	"strconv"
	"strings"
	"time"
)

// A task is what one case measures, as KEY=VALUE words.
type task struct {
	scenario string
	shared   bool
	duration time.Duration
	count    uint64 // of calls in each part, at most; 0: no limit
	items    uint32
	workers  int
}

// parseTask reads the words; false if one of them is not known here.
func parseTask(words []string) (task, bool) {
	t := task{items: 1, workers: 1}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		n, err := strconv.ParseUint(value, 10, 31)
		switch key {
		case "scenario":
			t.scenario, err = value, nil
		case "transport":
			t.shared, err = value == "shm", nil
			if !t.shared && value != "socket" {
				return t, false
			}
		case "duration_ms":
			t.duration = time.Duration(n) * time.Millisecond
		case "count":
			t.count = n
		case "items":
			t.items = uint32(n)
		case "workers":
			t.workers = int(n)
		default:
			return t, false
		}
		if err != nil {
			return t, false
		}
	}
	return t, true
}
