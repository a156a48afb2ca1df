module github.com/netdata/plugin-ipc/go

go 1.24
