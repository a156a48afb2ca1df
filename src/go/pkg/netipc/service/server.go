package service

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
)

const (
	// WorkersDefault is how many requests a server answers at once.
	WorkersDefault = 8
	// MaxSessionsDefault is how many clients a server has at most. Further ones are
	// refused before their handshake, so that they find they could not connect.
	MaxSessionsDefault = 4096

	// When there are too many clients, one that has not finished its handshake in this
	// time has to make room for the next.
	mostSilence = 250 * time.Millisecond

	// After a failure to accept, the server pauses: at first this long, then longer.
	firstPause, longestPause = 10 * time.Millisecond, time.Second
	// forcedPatience is how long Drain waits for sessions that were cut off.
	forcedPatience = time.Second
)

// A Server answers the requests of many clients: those of one client in their order,
// those of several at once, as many as there are workers. Clients beyond that wait their
// turn; none is refused for lack of a worker. A client costs nothing while it is silent,
// and cannot hold up others: a handshake may take 5 seconds, a response that is not
// taken 30.
//
// All methods may be called by any goroutine.
type Server struct {
	method    uint16
	responder Responder
	listen    func(limits) (listener, error)

	request  uint32            // limit of what a client may propose
	response *session.Capacity // limit granted to a client
	workers  chan struct{}     // holds a token for each request being answered
	buffers  sync.Pool         // of *[]byte, for responses

	stopping  chan struct{} // closed by Stop
	forced    chan struct{} // closed when Drain cuts sessions off
	abandoned chan struct{} // closed when Drain has given up on them
	ended     chan struct{} // closed when nothing runs any more

	mu       sync.Mutex
	started  bool
	stopped  bool
	listener listener
	tasks    sync.WaitGroup // sessions and handshakes
	most     int            // clients at a time
	clients  int            // now
	greeting []greeting     // in their handshake, oldest first
	links    map[link]struct{}
	report   func(error)
}

// NewServer makes a server of one method at the endpoint of a service in runDir. It does
// not listen before Run. Less than one worker is one. Without a responder requests are
// answered UNSUPPORTED.
func NewServer(method uint16, runDir, serviceName string, config Config, responder Responder, workers int) *Server {
	return &Server{
		method:    method,
		responder: responder,
		listen:    listenOn(runDir, serviceName, config),
		request:   orDefault(config.MaxRequestPayloadBytes, growthCeiling),
		response:  session.NewCapacity(config.MaxResponsePayloadBytes, responseDefault, growthCeiling),
		workers:   make(chan struct{}, max(workers, 1)),
		buffers:   sync.Pool{New: func() any { return new([]byte) }},
		stopping:  make(chan struct{}),
		forced:    make(chan struct{}),
		abandoned: make(chan struct{}),
		ended:     make(chan struct{}),
		most:      MaxSessionsDefault,
		links:     make(map[link]struct{}),
		report:    logPanics,
	}
}

// SetMaxSessions sets how many clients the server has at most, from now on.
func (s *Server) SetMaxSessions(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = max(n, 1)
}

// OnError sets what is told about failures that concern one client, or accepting
// clients: handshakes, lost sessions, handlers that panic (a [PanicError]). It is called
// by several goroutines at once. By default only panics are told, to package log; nil
// restores that.
func (s *Server) OnError(report func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.report = report; report == nil {
		s.report = logPanics
	}
}

var errRunning = errors.New("server was started before")

// Run listens, answers clients, and returns once Stop was called and the sessions have
// ended. A server that was stopped before does not run: Run returns nil. It fails if the
// endpoint cannot be had, with the cause the transport gave, and if it was called
// before.
func (s *Server) Run() error {
	listener, err := s.start()
	if listener == nil {
		return err
	}
	s.acceptAll(listener)
	go func() {
		s.tasks.Wait()
		close(s.ended)
	}()
	select {
	case <-s.ended:
	case <-s.abandoned:
	}
	return nil
}

// start returns the listener, or nil if the server is not to run.
func (s *Server) start() (listener, error) {
	if start, err := s.claim(); !start {
		return nil, err
	}
	listener, err := s.listen(limits{s.request, s.response.Now()})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && !s.stopped {
		s.listener = listener
		return listener, nil
	}
	s.started = false
	if s.stopped { // for good, and Drain may be waiting
		close(s.ended)
	}
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	listener.Close()
	return nil, nil
}

// claim makes sure that the server is started once.
func (s *Server) claim() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
		return false, nil
	case s.started:
		return false, errRunning
	}
	s.started = true
	return true, nil
}

// Stop ends the server, before or while it runs: no client is accepted any more, idle
// sessions end, requests being answered are finished. Stop does not wait for that; Run
// does. A server that was stopped stays so.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.stopped = true
	close(s.stopping)
	if s.listener != nil {
		s.listener.Close()
	}
	for _, greeting := range s.greeting {
		greeting.newcomer.Interrupt()
	}
	for link := range s.links {
		link.StopReceiving()
	}
}

// Drain stops the server and waits until its sessions have ended. Those that have not
// within timeout are cut off, and Drain returns false; a handler that does not return
// even then is left behind. It takes a second more than timeout at most.
func (s *Server) Drain(timeout time.Duration) bool {
	s.Stop()
	if !s.isStarted() {
		return true
	}
	if s.endsWithin(timeout) {
		return true
	}
	if first := s.force(); first {
		s.endsWithin(forcedPatience)
		s.abandon()
	}
	return false
}

func (s *Server) isStarted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.started
}

// endsWithin waits until nothing runs any more. It waits for no time at all if sessions
// were cut off before.
func (s *Server) endsWithin(timeout time.Duration) bool {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-s.ended:
		return true
	case <-s.abandoned:
	case <-timer.C:
	}
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// force cuts off all sessions; false if that was done before.
func (s *Server) force() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.forced:
		return false
	default:
	}
	close(s.forced)
	for link := range s.links {
		link.Interrupt()
	}
	return true
}

// abandon hangs up on the clients whose handlers do not return.
func (s *Server) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for link := range s.links {
		link.Close()
	}
	close(s.abandoned)
}

// acceptAll accepts clients until the server is stopped.
func (s *Server) acceptAll(listener listener) {
	pause := firstPause
	for {
		newcomer, err := listener.Accept()
		switch {
		case s.isStopping():
			if err == nil {
				newcomer.Close()
			}
			return
		case err != nil:
			s.tell(err)
			s.rest(pause)
			pause = min(2*pause, longestPause)
			continue
		}
		pause = firstPause
		if s.admit(newcomer) {
			go s.welcome(newcomer)
		} else {
			newcomer.Close()
		}
	}
}

func (s *Server) isStopping() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

func (s *Server) rest(pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.stopping:
	}
}

func (s *Server) tell(err error) {
	s.mu.Lock()
	report := s.report
	s.mu.Unlock()
	report(err)
}

// A greeting is a handshake under way.
type greeting struct {
	newcomer newcomer
	began    time.Time
}

// admit counts a newcomer in. If there are too many clients, the oldest that has been
// silent for long has to go, so that silent ones keep nobody out; else it is refused.
func (s *Server) admit(n newcomer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.clients >= s.most && !s.evict() {
		return false
	}
	s.clients++
	s.greeting = append(s.greeting, greeting{n, time.Now()})
	s.tasks.Add(1)
	return true
}

func (s *Server) evict() bool {
	if len(s.greeting) == 0 || time.Since(s.greeting[0].began) < mostSilence {
		return false
	}
	s.greeting[0].newcomer.Interrupt()
	s.greeting = slices.Delete(s.greeting, 0, 1)
	return true
}

// leave counts a client out.
func (s *Server) leave() {
	s.mu.Lock()
	s.clients--
	s.mu.Unlock()
	s.tasks.Done()
}
