package service

import (
	"errors"
	"fmt"
	"log"
	"runtime/debug"
	"slices"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// sendPatience is how long a client may take to take its response.
const sendPatience = 30 * time.Second

// A PanicError is a handler's panic. The client was told that the handler failed, and
// its session was closed; the server goes on.
type PanicError struct {
	Value any    // what was given to panic
	Stack []byte // of the goroutine
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("handler panicked: %v\n%s", e.Value, e.Stack)
}

func logPanics(err error) {
	var panicked *PanicError
	if errors.As(err, &panicked) {
		log.Print("netipc: ", panicked)
	}
}

// welcome agrees on a session with a newcomer and answers its requests.
func (s *Server) welcome(n newcomer) {
	defer s.leave()
	link, err := n.Handshake(limits{s.request, s.response.Now()})
	if err != nil {
		s.forget(n)
		s.tell(err)
		return
	}
	defer link.Close()
	if !s.greeted(n, link) {
		return
	}
	defer s.remove(link)
	talk := conversation{server: s, link: link}
	if err := talk.serve(); err != nil && !s.isStopping() {
		s.tell(err)
	}
}

// forget takes a newcomer off the list of those that have not finished their handshake.
func (s *Server) forget(n newcomer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dismiss(n)
}

func (s *Server) dismiss(n newcomer) {
	s.greeting = slices.DeleteFunc(s.greeting, func(g greeting) bool { return g.newcomer == n })
}

// greeted makes a newcomer a session; false if the server was stopped meanwhile.
func (s *Server) greeted(n newcomer, l link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dismiss(n)
	if s.stopped {
		return false
	}
	s.links[l] = struct{}{}
	return true
}

func (s *Server) remove(l link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, l)
}

// A conversation is a session in which requests are answered, one after the other.
type conversation struct {
	server  *Server
	link    link
	request protocol.Header
	answer  answer
}

// serve answers requests until the session ends.
func (c *conversation) serve() error {
	for {
		var payload []byte
		var err error
		if c.request, payload, err = c.link.Receive(time.Time{}); err != nil {
			return c.refuse(err)
		}
		if c.request.Kind != protocol.KindRequest {
			return fmt.Errorf("%w: client sent a message of kind %d", protocol.ErrBadKind, c.request.Kind)
		}
		if goOn, err := c.handle(payload); !goOn {
			return err
		}
	}
}

// refuse tells the client why the session ends, if that is worth an answer.
func (c *conversation) refuse(err error) error {
	refusal, ok := refuseMessage(&c.request, err)
	if ok {
		c.answer = refusal
		_ = c.send() // the session ends either way, and for the reason in err
	}
	return err
}

// handle answers one request and tells whether the session goes on. Room for the response
// is taken only once a worker is free: requests that wait for one hold none.
func (c *conversation) handle(payload []byte) (bool, error) {
	select {
	case c.server.workers <- struct{}{}:
	case <-c.server.forced:
		return false, nil
	}
	limit := c.link.Agreement().MaxResponsePayloadBytes
	buffer := c.server.buffers.Get().(*[]byte)
	defer c.server.buffers.Put(buffer)
	if uint64(len(*buffer)) < uint64(limit) {
		*buffer = make([]byte, limit)
	}
	c.work(payload, (*buffer)[:limit])
	c.server.learn(&c.answer, limit)
	if err := c.send(); err != nil {
		return false, err
	}
	return !c.answer.hangUp, c.answer.cause
}

// work answers one request and frees the worker, before the response is sent: a client
// that does not take it costs the others nothing.
func (c *conversation) work(payload, out []byte) {
	defer func() {
		<-c.server.workers
		if value := recover(); value != nil {
			c.answer = refusal(&c.request, protocol.StatusInternalError, &PanicError{value, debug.Stack()})
		}
	}()
	c.answer = respond(c.server.method, c.server.responder, &c.request, payload, out)
}

func (c *conversation) send() error {
	return c.link.Send(&c.answer.header, c.answer.payload, time.Now().Add(sendPatience))
}

// learn raises the limit of later sessions to what an answer took or would have taken.
func (s *Server) learn(a *answer, limit uint32) {
	if errors.Is(a.cause, protocol.ErrOverflow) {
		s.response.LearnDouble(limit)
		return
	}
	s.response.Learn(uint32(len(a.payload)))
}
