package posix

// pause takes a moment between two looks at a word that another processor writes.
func pause() {
	for range pauseTurns {
	}
}

const pauseTurns = 32
