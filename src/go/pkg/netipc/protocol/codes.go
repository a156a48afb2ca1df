package protocol

// What every message and every continuation of one starts with (PROTOCOL.md, envelope).
const (
	MagicMsg   uint32 = 0x4e495043
	MagicChunk uint32 = 0x4e43484b
	Version    uint16 = 1
	HeaderLen  uint16 = 32

	HeaderSize = 32 // bytes of an envelope or chunk header
	Alignment  = 8  // items of a batch or directory start at multiples of this
)

// Kinds of message.
const (
	KindRequest  uint16 = 1
	KindResponse uint16 = 2
	KindControl  uint16 = 3
)

// FlagBatch marks a payload that is a directory of items of one method.
const FlagBatch uint16 = 0x0001

// Statuses of a response or of a HELLO_ACK.
const (
	StatusOK            uint16 = 0
	StatusBadEnvelope   uint16 = 1
	StatusAuthFailed    uint16 = 2
	StatusIncompatible  uint16 = 3
	StatusUnsupported   uint16 = 4
	StatusLimitExceeded uint16 = 5
	StatusInternalError uint16 = 6
)

// Codes of control messages.
const (
	CodeHello    uint16 = 1
	CodeHelloAck uint16 = 2
)

// Codes of requests and responses, one for each service kind.
const (
	MethodIncrement       uint16 = 1
	MethodCgroupsSnapshot uint16 = 2
	MethodStringReverse   uint16 = 3
	MethodCgroupsLookup   uint16 = 4
	MethodAppsLookup      uint16 = 5
)

// Profiles are the carriers a peer can use, one bit each. Shared memory wins over
// the baseline whenever both peers support it. ProfileSHMWaitAddr is reserved: do
// not offer it. ProfileRing, rings in anonymous memory, is this library's own, on Linux
// (PROTOCOL.md, section 27); peers that do not know it never meet it.
const (
	ProfileBaseline    uint32 = 0x01
	ProfileSHMHybrid   uint32 = 0x02
	ProfileSHMFutex    uint32 = 0x04
	ProfileSHMWaitAddr uint32 = 0x08
	ProfileRing        uint32 = 0x10
)

// ProfilesSharedMemory is what to put into SupportedProfiles and PreferredProfiles for
// the best shared memory both sides have. What a system lacks is not offered by clients
// and servers of services, nor by links.
const ProfilesSharedMemory = ProfileBaseline | ProfileSHMHybrid | ProfileRing

// Payload limits in bytes: what a configured zero means, and how far a limit that
// was not configured may grow. The latter is policy, not protocol.
const (
	MaxPayloadDefault uint32 = 1024
	MaxPayloadCap     uint32 = 1 << 20
)
