//! Which types may cross into the kernel as bytes; the only `unsafe` here.

use aya::Pod;

use crate::{
    acl, attachment, be, client_address, counter, endpoint, event, fragment, index, ring, route, session,
    settings,
};

macro_rules! pod {
    ($($type:ty),+ $(,)?) => {
        $(
            // SAFETY: repr(C), Copy, only integers and arrays of them, and no
            // implicit padding (sizes are asserted beside the definitions).
            unsafe impl Pod for $type {}
        )+
    };
}

pod!(
    acl::AclKey,
    attachment::Attachment,
    attachment::InterfaceKey,
    attachment::NeighbourKey,
    attachment::NextHop,
    be::Be32,
    client_address::Tlvs,
    counter::Connections,
    counter::Traffic,
    endpoint::Backend,
    endpoint::EndpointKey,
    endpoint::EndpointValue,
    endpoint::Policy,
    event::Budget,
    fragment::FragmentKey,
    fragment::Ports,
    index::Bucket,
    ring::Ring,
    route::Route,
    route::RouteKey,
    route::SubnetKey,
    route::Wanted,
    session::FlowKey,
    session::Slot,
    settings::Settings,
);

impl event::Event {
    /// Reads what the programs have put into the ring; `None` for another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; size_of::<Self>()] = bytes.try_into().ok()?;
        // SAFETY: as many bytes as an event has, and any bytes are one (only integers).
        Some(unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() })
    }
}
