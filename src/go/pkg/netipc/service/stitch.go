package service

import (
	"fmt"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A Lookup describes a kind of service that maps keys to values, and so can be asked
// in parts.
type Lookup[Key, View any] struct {
	Name   string // of the service, for errors
	Method uint16

	// KeySize is the size of a key in a request, PlaceholderSize that of the item that
	// stands for its answer where there was no room for it.
	KeySize         func(Key) int
	PlaceholderSize func(Key) int
	// Encode writes a request for keys into a buffer that is just large enough. It fails
	// for a key that has no form on the wire.
	Encode func([]Key, []byte) (int, error)
	// Decode reads and checks a response.
	Decode func([]byte, *View) error
	// Head returns the number of items and the generation of a response.
	Head func(*View) (items uint32, generation uint64)
	// Item returns the bytes of an item and what kind of answer it is to key.
	Item func(view *View, index uint32, key Key) ([]byte, Reply)
	// Oversized returns the item that stands for a key that fits no request. Nil if keys
	// always fit.
	Oversized func(Key) []byte
}

// A Reply is what kind of answer an item is.
type Reply int

const (
	Mismatched Reply = iota // to another key
	Answered                // final
	Exceeded                // the response had no room left: ask again
	Oversized               // no response has room
)

const (
	lookupHead      = protocol.CgroupsLookupReqHdr // of a request and of a response alike
	lookupEntrySize = protocol.LookupDirEntrySize
)

func (l *Lookup[Key, View]) requestSize(keys []Key) int {
	size := 0
	for _, key := range keys {
		size = protocol.Align8(size) + l.KeySize(key)
	}
	return lookupHead + len(keys)*lookupEntrySize + size
}

// ceilings bound one lookup, however many requests it takes.
type ceilings struct {
	items, subcalls, bytes uint32
}

// step is what to do next for a lookup.
type step int

const (
	failed  step = iota
	ask          // send the request for the keys of [stitch.asking]
	enlarge      // get a session that takes the next key, or call tooLong
	done
)

// A stitch is one lookup in several requests (PROTOCOL.md, section 21): it decides which keys
// to ask next and puts the answers together. It does no I/O.
type stitch[Key, View any] struct {
	kind     *Lookup[Key, View]
	keys     []Key
	ceilings ceilings
	out      protocol.LookupAssembler

	answered   int // keys that have their answer
	asked      int // keys of the last request, behind those
	most       int // keys to ask at once; fewer after a response had no room
	seen       answers
	subcalls   uint32
	known      bool // generation is
	generation uint64
	alone      bool // the next key had no room together with others
	restarted  bool
	complete   bool // the last response is the whole answer
	noLonger   bool // no session takes longer requests
}

// answers are those of a lookup so far, and the bytes of responses they took.
type answers struct {
	count, bytes uint64
}

// begin starts a lookup. It fails with ErrOverflow for too many keys.
func (s *stitch[Key, View]) begin(kind *Lookup[Key, View], keys []Key, c ceilings) error {
	*s = stitch[Key, View]{kind: kind, keys: keys, ceilings: c, out: s.out, most: len(keys)}
	if uint64(len(keys)) > uint64(c.items) {
		return fmt.Errorf("%w: %d keys, allowed are %d", protocol.ErrOverflow, len(keys), c.items)
	}
	return s.start()
}

func (s *stitch[Key, View]) start() error {
	s.answered, s.known, s.alone = 0, false, false
	if err := s.out.Reset(len(s.keys), s.ceilings.bytes); err != nil {
		return fmt.Errorf("%w: response to %d keys", err, len(s.keys))
	}
	return nil
}

// next decides what to do in a session with these limits, in bytes.
func (s *stitch[Key, View]) next(requestLimit, responseLimit uint32) (step, error) {
	for {
		rest := s.keys[s.answered:]
		// Without any key to ask, ask all the same: the generation must come from somewhere.
		if len(rest) == 0 && (s.complete || s.known) {
			return done, nil
		}
		s.asked = s.fitting(rest, requestLimit, responseLimit)
		if s.asked == 0 && len(rest) > 0 {
			if s.kind.requestSize(rest[:1]) > int(min(uint64(requestLimit), 1<<31-1)) {
				if !s.noLonger {
					return enlarge, nil
				}
				if err := s.answerHere(rest[0]); err != nil {
					return failed, err
				}
				continue
			}
			s.asked = 1 // it is the response that has no room: let the service say so
		}
		if s.subcalls >= s.ceilings.subcalls {
			return failed, fmt.Errorf("%w: lookup takes more than %d requests", protocol.ErrOverflow, s.ceilings.subcalls)
		}
		s.subcalls++
		return ask, nil
	}
}

// usualValue is how long a value is taken to be before there was any, in bytes.
const usualValue = 64

// fitting returns how many of keys fit a request, and how many answers are expected to fit the
// response. At the least there must be room for placeholders of all of them, or the service
// could not even say which it left out; but with no more than that it would answer one key
// for each request.
func (s *stitch[Key, View]) fitting(keys []Key, requestLimit, responseLimit uint32) int {
	if len(keys) == 0 {
		return 0
	}
	most := 1
	if !s.alone {
		most = int(min(uint64(s.most), uint64(len(keys)), s.expected(keys[0], responseLimit)))
	}
	request, response := 0, 0
	for i, key := range keys[:most] {
		request = protocol.Align8(request) + s.kind.KeySize(key)
		response = protocol.Align8(response) + s.kind.PlaceholderSize(key)
		directory := lookupHead + (i+1)*lookupEntrySize
		if uint64(directory+request) > uint64(requestLimit) || uint64(directory+response) > uint64(responseLimit) {
			return i
		}
	}
	return most
}

// expected returns how many answers as long as those so far fit a response, at least 1. Asking for
// more would fill it with placeholders, each in the room of an answer.
func (s *stitch[Key, View]) expected(first Key, responseLimit uint32) uint64 {
	seen := s.seen
	if seen.count == 0 {
		seen = answers{1, uint64(lookupEntrySize + usualValue + s.kind.PlaceholderSize(first))}
	}
	room := uint64(max(responseLimit, lookupHead) - lookupHead)
	return max(room*seen.count/seen.bytes, 1)
}

// asking returns the keys to ask now.
func (s *stitch[Key, View]) asking() []Key { return s.keys[s.answered:][:s.asked] }

// needs returns the size of the request for the next key alone.
func (s *stitch[Key, View]) needs() int { return s.kind.requestSize(s.keys[s.answered:][:1]) }

// tooLong says that no session takes longer requests.
func (s *stitch[Key, View]) tooLong() { s.noLonger = true }

// answerHere answers a key that fits no request.
func (s *stitch[Key, View]) answerHere(key Key) error {
	if s.kind.Oversized == nil {
		return fmt.Errorf("%w: a key fits no request", protocol.ErrOverflow)
	}
	return s.append(s.kind.Oversized(key))
}

func (s *stitch[Key, View]) append(item []byte) error {
	if err := s.out.Append(item); err != nil {
		return fmt.Errorf("%w: response to the lookup is longer than %d bytes", err, s.ceilings.bytes)
	}
	s.answered++
	return nil
}

// halve asks for fewer keys from now on, since a response had no room for as many;
// false if that is not possible.
func (s *stitch[Key, View]) halve() bool {
	if s.asked <= 1 {
		return false
	}
	s.most = s.asked / 2
	return true
}

// take takes the response to the last request. It fails with ErrBadItemCount or
// ErrBadLayout for one that does not answer it, and with ErrOverflow.
func (s *stitch[Key, View]) take(view *View) error {
	items, generation := s.kind.Head(view)
	if s.known && generation != s.generation {
		// The provider changed: what it said before is of no use.
		if s.restarted {
			return fmt.Errorf("%w: the provider's generation changed again, from %d to %d", protocol.ErrBadLayout, s.generation, generation)
		}
		s.restarted = true
		return s.start()
	}
	if uint64(items) != uint64(s.asked) {
		return fmt.Errorf("%w: %d keys asked, %d answered", protocol.ErrBadItemCount, s.asked, items)
	}
	answered, err := s.judge(view)
	if err != nil {
		return err
	}
	s.known, s.generation = true, generation
	if s.alone = answered == 0 && s.asked > 1; s.alone {
		return nil
	}
	s.complete = s.answered == 0 && answered == len(s.keys)
	return s.keep(view, answered)
}

// keep takes over the first answers of a response.
func (s *stitch[Key, View]) keep(view *View, answered int) error {
	if s.complete {
		s.answered = answered
		return nil
	}
	for i, key := range s.asking()[:answered] {
		item, _ := s.kind.Item(view, uint32(i), key)
		if err := s.append(item); err != nil {
			return err
		}
		s.seen.count++
		s.seen.bytes += uint64(lookupEntrySize + protocol.Align8(len(item)))
	}
	return nil
}

// judge returns how many keys are answered: all before those that exceeded the
// response. 0 means that the first must be asked alone: a service may find it oversized
// only because of the others.
func (s *stitch[Key, View]) judge(view *View) (int, error) {
	answered, exceeded := 0, false
	for i, key := range s.asking() {
		_, reply := s.kind.Item(view, uint32(i), key)
		switch {
		case reply == Mismatched:
			return 0, fmt.Errorf("%w: answer %d is to another key", protocol.ErrBadLayout, i)
		case exceeded && reply != Exceeded:
			return 0, fmt.Errorf("%w: answer %d follows one that was left out", protocol.ErrBadLayout, i)
		case reply == Exceeded && i == 0:
			return 0, fmt.Errorf("%w: the service has no room for a single answer", protocol.ErrOverflow)
		case reply == Exceeded:
			exceeded = true
		default:
			answered++
		}
	}
	if s.asked > 1 {
		if _, first := s.kind.Item(view, 0, s.asking()[0]); first == Oversized {
			return 0, nil
		}
	}
	return answered, nil
}

// finish returns the answers as one response, unless the last response is that.
func (s *stitch[Key, View]) finish() ([]byte, bool) {
	if s.complete {
		return nil, false
	}
	return s.out.Finish(s.generation), true
}
