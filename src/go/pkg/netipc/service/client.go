package service

import (
	"context"
	"fmt"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A Kind describes a kind of service that answers a request in one piece.
type Kind[Request, View any] struct {
	Name   string // of the service, for errors
	Method uint16
	// Size is the size of a request's payload, Encode writes it into a buffer of that
	// size. Encode fails for a request that has no form on the wire.
	Size   func(Request) int
	Encode func(Request, []byte) (int, error)
	// Decode reads and checks a response.
	Decode func([]byte, *View) error
}

// A Client asks one service. See [Connection] for what it has in common with clients of
// other kinds.
type Client[Request, View any] struct {
	Connection
	kind  Kind[Request, View]
	view  View
	views []View // of a batch
}

// NewClient makes a client of the service in runDir. It does not connect: see Refresh.
func NewClient[Request, View any](kind Kind[Request, View], runDir, serviceName string, config Config) *Client[Request, View] {
	c := &Client[Request, View]{kind: kind}
	c.init(kind.Name, kind.Method, config, dialer(runDir, serviceName, config), c)
	return c
}

// Call asks and waits for the answer, which is valid until the client's next call or
// Close. If the session breaks a new one is made and the request is sent once more: the
// service may get it twice. If a message is too large for the session, sessions with
// larger limits are tried. Afterwards, if nothing helped, the client is not ready, and
// Refresh connects again.
func (c *Client[Request, View]) Call(request Request) (*View, error) {
	return c.ask(context.Background(), 0, request)
}

// CallWithTimeout is Call, within ms milliseconds; 0 means what SetCallTimeout says.
func (c *Client[Request, View]) CallWithTimeout(request Request, ms uint32) (*View, error) {
	return c.ask(context.Background(), ms, request)
}

// CallContext is Call under a context: it fails with ErrAborted once that is cancelled,
// or ErrTimeout once its deadline passes, and then wraps the context's error, too.
func (c *Client[Request, View]) CallContext(ctx context.Context, request Request) (*View, error) {
	return c.ask(ctx, 0, request)
}

func (c *Client[Request, View]) ask(ctx context.Context, ms uint32, request Request) (*View, error) {
	err := c.call(ctx, ms, func(w wait) error {
		c.items = 0
		n, err := c.kind.Encode(request, c.room(c.kind.Size(request)))
		if err != nil {
			return c.unwritable(err)
		}
		c.request = c.request[:n]
		return c.settle(c.exchange(w))
	})
	if err != nil {
		return nil, err
	}
	return &c.view, nil
}

// CallBatch asks for several answers at once, which come in the order of requests and
// are valid until the client's next call or Close. It fails with ErrOverflow for more
// requests than MaxRequestBatchItems, else like Call; one request that fails fails all.
func (c *Client[Request, View]) CallBatch(requests []Request) ([]View, error) {
	return c.CallBatchWithTimeout(requests, 0)
}

// CallBatchWithTimeout is CallBatch, within ms milliseconds; 0 means what
// SetCallTimeout says.
func (c *Client[Request, View]) CallBatchWithTimeout(requests []Request, ms uint32) ([]View, error) {
	switch len(requests) {
	case 0:
		return nil, nil
	case 1:
		view, err := c.CallWithTimeout(requests[0], ms)
		if err != nil {
			return nil, err
		}
		return append(c.views[:0], *view), nil
	}
	err := c.call(context.Background(), ms, func(w wait) error {
		if agreed := c.link.Agreement().MaxRequestBatchItems; uint64(len(requests)) > uint64(agreed) {
			return &callError{"call " + c.name, protocol.ErrOverflow, fmt.Errorf("batch of %d items, agreed were %d", len(requests), agreed)}
		}
		if err := c.encodeBatch(requests); err != nil {
			return err
		}
		return c.settle(c.exchange(w))
	})
	if err != nil {
		return nil, err
	}
	return c.views, nil
}

func (c *Client[Request, View]) encodeBatch(requests []Request) error {
	size := len(requests) * protocol.LookupDirEntrySize
	for _, request := range requests {
		size = protocol.Align8(size) + c.kind.Size(request)
	}
	batch := protocol.NewBatchBuilder(c.room(protocol.Align8(size)), uint32(len(requests)))
	for _, request := range requests {
		if err := batch.AddInPlace(func(room []byte) (int, error) { return c.kind.Encode(request, room) }); err != nil {
			return c.unwritable(err)
		}
	}
	n, items := batch.Finish()
	c.request, c.items = c.request[:n], items
	return nil
}

func (c *Client[Request, View]) accept(payload []byte) error {
	if c.items == 0 {
		return c.kind.Decode(payload, &c.view)
	}
	if c.got.Flags&protocol.FlagBatch == 0 || c.got.ItemCount != c.items {
		return protocol.ErrBadItemCount
	}
	c.views = append(c.views[:0], make([]View, c.items)...)
	for i := range c.items {
		item, err := protocol.BatchItemGet(payload, c.items, i)
		if err != nil {
			return err
		}
		if err := c.kind.Decode(item, &c.views[i]); err != nil {
			return err
		}
	}
	return nil
}

// settle ends a call of one request: a session that is too small is of no use.
func (c *Connection) settle(err error) error {
	if err != nil && c.Ready() && !isRefusal(err) {
		c.drop(StateBroken)
	}
	return err
}

func (c *Connection) unwritable(err error) error {
	return &callError{"call " + c.name, errUnwritable, fmt.Errorf("encode the request: %w", err)}
}
