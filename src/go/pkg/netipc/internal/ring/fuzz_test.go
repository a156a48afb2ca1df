package ring

import "testing"

// Whatever a peer writes, what is read is as long as a record can be, and what was taken
// is not more than was sent.
func FuzzMemoryOfAPeer(f *testing.F) {
	good := newMemory(testLengths)
	testLengths.WriteHeader(good)
	w := NewWriter(testLengths.On(good).Requests)
	for _, length := range []int{32, startLen + 1, testLongest} {
		if _, err := w.Push(nil, make([]byte, length)); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, written []byte) {
		memory := newMemory(testLengths)
		copy(memory, written)
		if l, err := ReadHeader((*[HeaderLen]byte)(memory)); err == nil && l.Size() < SlotsAt+4*fewestSlots {
			t.Fatalf("%d bytes of %+v", l.Size(), l)
		}
		m := testLengths.On(memory)
		r, w := NewReader(m.Requests), NewWriter(m.Responses)
		buffer := make([]byte, testLongest)
		for range 3 * testSlots {
			n, err := r.Open()
			if err != nil || n == 0 {
				break
			}
			r.CopyOut(buffer[:n]) // fails for what is too long
			r.Close(n)
		}
		for range 2 * testSlots {
			if put, err := w.Push(nil, buffer); err != nil || put == 0 {
				break
			}
		}
		if w.taken > w.sent || w.sent-w.taken > testSlots {
			t.Fatalf("sent %d, of which %d are said to be taken", w.sent, w.taken)
		}
	})
}
