module github.com/netdata/plugin-ipc/bench/go

go 1.24

require github.com/netdata/plugin-ipc/go v0.0.0

replace github.com/netdata/plugin-ipc/go => ../../src/go
