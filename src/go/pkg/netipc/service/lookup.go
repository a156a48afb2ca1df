package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A LookupClient asks one service for the values of keys. See [Connection] for what it
// has in common with clients of other kinds.
type LookupClient[Key, View any] struct {
	Connection
	kind     Lookup[Key, View]
	ceilings ceilings
	stitch   stitch[Key, View]
	view     View
}

// NewLookupClient makes a client of the service in runDir. It does not connect: see
// Refresh.
func NewLookupClient[Key, View any](kind Lookup[Key, View], runDir, serviceName string, config Config) *LookupClient[Key, View] {
	c := &LookupClient[Key, View]{kind: kind}
	c.SetLimits(config.MaxLogicalLookupItems, config.MaxLogicalLookupSubcalls, config.MaxLogicalLookupResponseBytes)
	c.init(kind.Name, kind.Method, config, dialer(runDir, serviceName, config), c)
	return c
}

// SetLimits replaces the configured limits of a lookup: keys, requests, and bytes of the
// complete response. 0 means the default of each.
func (c *LookupClient[Key, View]) SetLimits(items, subcalls, responseBytes uint32) {
	c.ceilings = ceilings{
		orDefault(items, LookupLogicalItemsDefault),
		orDefault(subcalls, LookupLogicalSubcallsDefault),
		orDefault(responseBytes, LookupLogicalResponseBytesDefault),
	}
}

// Call asks for the values of keys and waits for all of them, in the order of keys. The
// answer is valid until the client's next call or Close. It takes as many requests as
// are needed, each of which may be sent twice if the session breaks; all within one
// deadline. Without keys the answer still has the provider's generation.
//
// It fails with ErrOverflow for more keys, requests or bytes than configured, and with
// ErrBadLayout or ErrBadItemCount if the answers do not fit the keys, or if the
// provider's generation changes while it is asked, twice.
func (c *LookupClient[Key, View]) Call(keys []Key) (*View, error) {
	return c.ask(context.Background(), 0, keys)
}

// CallWithTimeout is Call, within ms milliseconds; 0 means what SetCallTimeout says.
func (c *LookupClient[Key, View]) CallWithTimeout(keys []Key, timeoutMs uint32) (*View, error) {
	return c.ask(context.Background(), timeoutMs, keys)
}

// CallContext is Call under a context: it fails with ErrAborted once that is cancelled,
// or ErrTimeout once its deadline passes, and then wraps the context's error, too.
func (c *LookupClient[Key, View]) CallContext(ctx context.Context, keys []Key) (*View, error) {
	return c.ask(ctx, 0, keys)
}

func (c *LookupClient[Key, View]) ask(ctx context.Context, ms uint32, keys []Key) (*View, error) {
	if err := c.stitch.begin(&c.kind, keys, c.ceilings); err != nil {
		return nil, c.failed(ctx, c.mismatch(err))
	}
	err := c.call(ctx, ms, c.collect)
	c.stitch.keys = nil // they are the caller's
	if err != nil {
		return nil, err
	}
	return &c.view, nil
}

// collect asks until every key has its answer.
func (c *LookupClient[Key, View]) collect(w wait) error {
	c.items = 0
	for {
		if err := c.over(w); err != nil {
			if c.stitch.subcalls > 0 {
				c.failures.Add(^uint32(0)) // no request failed, so none is counted
			}
			return c.explain(err)
		}
		agreed := c.agreed()
		step, err := c.stitch.next(agreed.request, agreed.response)
		switch step {
		case ask:
			err = c.askNext(w)
		case enlarge:
			err = c.makeRoom(w)
		case done:
			return c.finish()
		default:
			err = c.mismatch(err)
		}
		if err != nil {
			return err
		}
	}
}

// askNext sends one request and takes its response.
func (c *LookupClient[Key, View]) askNext(w wait) error {
	keys := c.stitch.asking()
	n, err := c.kind.Encode(keys, c.room(c.kind.requestSize(keys)))
	if err != nil {
		return c.unwritable(err)
	}
	c.request = c.request[:n]
	err = c.exchange(w)
	switch {
	case err == nil:
		if err := c.stitch.take(&c.view); err != nil {
			return c.mismatch(err)
		}
		return nil
	case !errors.Is(err, protocol.ErrOverflow) || !c.stitch.halve():
		return c.settle(err)
	case c.Ready():
		return nil
	}
	// No larger session is to be had; fewer keys at once may do.
	return c.reconnect(w)
}

// makeRoom gets a session that takes a request for the next key, if the configured
// limit allows it (PROTOCOL.md, section 21).
func (c *LookupClient[Key, View]) makeRoom(w wait) error {
	need, before := c.stitch.needs(), c.wish
	if uint64(need) > uint64(orDefault(c.config.MaxRequestPayloadBytes, growthCeiling)) {
		c.stitch.tooLong()
		return nil
	}
	c.wish.request = raise(before.request, uint64(need), c.config.MaxRequestPayloadBytes)
	if c.wish == before { // it was asked for, and not granted
		c.stitch.tooLong()
		return nil
	}
	err := c.reconnectOr(w, before)
	if err != nil && c.Ready() {
		c.stitch.tooLong()
		return nil
	}
	return err
}

func (c *LookupClient[Key, View]) finish() error {
	response, put := c.stitch.finish()
	if !put {
		return nil
	}
	if err := c.kind.Decode(response, &c.view); err != nil {
		return c.mismatch(fmt.Errorf("answers put together: %w", err))
	}
	return nil
}

// mismatch is a failure of the lookup as a whole, not of its session.
func (c *LookupClient[Key, View]) mismatch(err error) error {
	return fmt.Errorf("call %s: %w", c.name, err)
}

func (c *LookupClient[Key, View]) accept(payload []byte) error {
	return c.kind.Decode(payload, &c.view)
}
