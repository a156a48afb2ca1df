package main

import "github.com/netdata/plugin-ipc/go/pkg/netipc/transport/windows"

// The transport of this system, under one name.
type (
	messageLink  = windows.Link
	serverConfig = windows.ServerConfig
	clientConfig = windows.ClientConfig
)

var (
	listen  = windows.Listen
	dial    = windows.Dial
	errGone = windows.ErrRecv
)
