//! Neighbours that nobody knew of before a packet was for them: servers on the link behind a
//! gateway-type endpoint, which leads to a whole network.
//!
//! The program queues who it wants and drops the packet; here they get a next-hop number, so that
//! they are asked for and the sender's retransmission finds them. Such a number has no owner in
//! the desired state and goes the way of all orphans (`numbers.rs`).

use vpcep_common::attachment::NeighbourKey;
use vpcep_common::limits::MAX_NEXT_HOPS;
use vpcep_common::route::Wanted;

use crate::reconcile::tables::{Action, Hop, Tables};

/// Neighbours of this kind that may be asked for at a time without an answer. Whoever scans a
/// network makes us ask for no more than that each second.
pub(super) const MAX_UNANSWERED: usize = 256;

/// What makes a wanted neighbour one that is asked for; `None` when it is already, or cannot be.
pub(super) fn take_up(tables: &Tables, wanted: Wanted) -> Option<[Action; 2]> {
    let Wanted { address, vpc, attachment } = wanted;
    let key = NeighbourKey { address, vpc, pad: 0 };
    let is_there = |a: &vpcep_common::attachment::Attachment| a.vpc == vpc && a.ifindex != 0;
    if tables.neighbours.contains_key(&key)
        || !tables.attachments.get(&u32::from(attachment)).is_some_and(is_there)
    {
        return None;
    }
    let mut numbers = (1..MAX_NEXT_HOPS).filter_map(|number| u16::try_from(number).ok());
    let number = numbers.find(|number| !tables.next_hops.contains_key(number))?;
    let hop = Hop { vpc, address: address.into(), attachment };
    Some([Action::SetNextHop(number, Some(hop)), Action::SetNeighbour(key, u32::from(number))])
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use vpcep_common::attachment::Attachment;

    use super::*;

    fn wanted(last: u8) -> Wanted {
        Wanted { address: Ipv4Addr::new(100, 125, 0, last).into(), vpc: 2, attachment: 1 }
    }

    fn tables() -> Tables {
        let attachment = Attachment { ifindex: 7, vpc: 2, ..Attachment::default() };
        Tables { attachments: [(1, attachment)].into(), ..Tables::default() }
    }

    #[test]
    fn each_is_taken_up_once_and_has_a_number_of_its_own() {
        let mut tables = tables();
        for last in [10, 11] {
            for action in take_up(&tables, wanted(last)).expect("nobody asks for it yet") {
                tables.apply(&action);
            }
            assert_eq!(take_up(&tables, wanted(last)), None, "{last} is asked for already");
        }
        let addresses: Vec<_> =
            tables.next_hops.iter().map(|(n, hop)| (*n, hop.address.octets()[3])).collect();
        assert_eq!(addresses, [(1, 10), (2, 11)]);
    }

    #[test]
    fn nobody_is_asked_for_where_nothing_is_attached() {
        for (name, change) in [
            ("gone", Wanted { attachment: 9, ..wanted(10) }),
            ("another VPC's", Wanted { vpc: 3, ..wanted(10) }),
        ] {
            assert_eq!(take_up(&tables(), change), None, "{name}");
        }
    }
}
