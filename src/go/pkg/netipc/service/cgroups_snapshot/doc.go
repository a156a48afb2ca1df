// Package cgroups_snapshot is the service that tells all cgroups of a machine at once:
// its client, its server, and a cache of the last good snapshot.
//
// A provider that is absent, restarts or breaks is normal: Refresh the client or the
// cache from time to time, and go on with what there is. See package service for time
// limits, concurrency and errors.
package cgroups_snapshot
