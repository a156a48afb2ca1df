//go:build unix

package main

import "github.com/netdata/plugin-ipc/go/pkg/netipc/transport/posix"

// The transport of this system, under one name.
type (
	messageLink  = posix.Link
	serverConfig = posix.ServerConfig
	clientConfig = posix.ClientConfig
)

var (
	listen  = posix.Listen
	dial    = posix.Dial
	errGone = posix.ErrRecv
)
