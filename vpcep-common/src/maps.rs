//! Map names, at most 15 bytes so that `bpftool map` shows them whole.

/// Per-CPU array of one [`crate::scratch::Scratch`].
pub const SCRATCH: &str = "SCRATCH";
/// Array of [`crate::session::Slot`], mmapable: all sessions.
pub const SLOTS: &str = "SLOTS";
/// Array of [`crate::index::Bucket`]: from a flow to its slot, for the forward path.
pub const INDEX: &str = "INDEX";
/// Hash from [`crate::endpoint::EndpointKey`] to [`crate::endpoint::EndpointValue`].
pub const ENDPOINTS: &str = "ENDPOINTS";
/// Array of [`crate::endpoint::Policy`] by endpoint number, mmapable.
pub const POLICIES: &str = "POLICIES";
/// Array of [`crate::client_address::Tlvs`] by endpoint number, mmapable.
pub const TLVS: &str = "TLVS";
/// Array of [`crate::ring::Ring`].
pub const RINGS: &str = "RINGS";
/// Array of how many connections (`u64`) a ring has been asked for, by ring number.
pub const TURNS: &str = "TURNS";
/// Array of [`crate::endpoint::Backend`].
pub const BACKENDS: &str = "BACKENDS";
/// LPM trie of [`crate::acl::AclKey`].
pub const ACL: &str = "ACL";
/// LPM trie of [`crate::route::SubnetKey`] to the network of the subnet.
pub const SUBNETS: &str = "SUBNETS";
/// LPM trie of [`crate::route::RouteKey`] to [`crate::route::Route`].
pub const ROUTES: &str = "ROUTES";
/// Queue of [`crate::route::Wanted`].
pub const WANTED: &str = "WANTED";
/// LRU hash from [`crate::fragment::FragmentKey`] to [`crate::fragment::Ports`]: a datagram is all that
/// is lost when an entry is.
pub const FRAGMENTS: &str = "FRAGMENTS";
/// Hash from [`crate::attachment::InterfaceKey`] to attachment number.
pub const INTERFACES: &str = "INTERFACES";
/// Array of [`crate::attachment::Attachment`].
pub const ATTACHMENTS: &str = "ATTACHMENTS";
/// Hash from [`crate::attachment::NeighbourKey`] to next-hop number.
pub const NEIGHBOURS: &str = "NEIGHBOURS";
/// Array of [`crate::attachment::NextHop`], mmapable.
pub const NEXT_HOPS: &str = "NEXT_HOPS";
/// Array of [`crate::counter::Connections`] by endpoint number, mmapable.
pub const CONNECTIONS: &str = "CONNECTIONS";
/// Per-CPU array of [`crate::counter::Traffic`] by endpoint number.
pub const TRAFFIC: &str = "TRAFFIC";
/// Array of one [`crate::settings::Settings`].
pub const SETTINGS: &str = "SETTINGS";
/// Array of slot numbers (`u64`) for the reaper, mmapable.
pub const REAP_LIST: &str = "REAP_LIST";
/// Ring buffer of [`crate::event::Event`].
pub const EVENTS: &str = "EVENTS";
/// Per-CPU array of [`crate::event::Budget`] by [`crate::event::Kind`].
pub const EVENT_BUDGETS: &str = "EVENT_BUDGETS";

/// Every map, in the order `vpcep status` lists them.
pub const ALL: [&str; 24] = [
    SLOTS,
    INDEX,
    ENDPOINTS,
    POLICIES,
    TLVS,
    RINGS,
    TURNS,
    BACKENDS,
    ACL,
    SUBNETS,
    ROUTES,
    WANTED,
    FRAGMENTS,
    INTERFACES,
    ATTACHMENTS,
    NEIGHBOURS,
    NEXT_HOPS,
    CONNECTIONS,
    TRAFFIC,
    SETTINGS,
    REAP_LIST,
    EVENTS,
    EVENT_BUDGETS,
    SCRATCH,
];

const _: () = {
    let mut i = 0;
    while i < ALL.len() {
        assert!(ALL[i].len() <= 15);
        i += 1;
    }
};
