//! What names the endpoint in a PROXY protocol header: type-length-value fields, one of the profile
//! that was chosen and one of nothing that fills the rest up.
//!
//! Sources: the PROXY protocol, sections 2.2.6 and 2.2.7 (types 0xE0 to 0xEF are for applications);
//! AWS, "Proxy protocol" of Network Load Balancers; Google Cloud, "PROXY protocol" of published
//! services; Azure, "Getting connection information using TCP Proxy v2" of Private Link services.

use vpcep_common::client_address::{TLVS_LEN, Tlvs};

use crate::model::{EndpointId, ProxyProfile};

/// Of vpcep: 1 and `marker_id` as 32 bits, in network byte order.
const OWN: u8 = 0xe5;
/// `PP2_TYPE_AWS`: 1 (`PP2_SUBTYPE_AWS_VPCE_ID`) and the id of the endpoint as text.
const AWS: u8 = 0xea;
/// `PP2_TYPE_GCP`: the id of the connection as 64 bits, in network byte order.
const GCP: u8 = 0xe0;
/// `PP2_TYPE_AZURE`: 1 (`PP2_SUBTYPE_AZURE_PRIVATEENDPOINT_LINKID`) and the id of the link as 32
/// bits, least significant byte first.
const AZURE: u8 = 0xee;
/// `PP2_TYPE_NOOP`: to be skipped.
const NOOP: u8 = 0x04;

/// Bytes of a field's type and length.
const HEAD: usize = 3;

/// The fields of an endpoint's headers.
pub fn fields(profile: ProxyProfile, marker: u32, id: EndpointId) -> Tlvs {
    let (kind, value) = match profile {
        ProxyProfile::Own => (OWN, [&[1], &marker.to_be_bytes()[..]].concat()),
        ProxyProfile::Aws => (AWS, [&[1], id.to_string().as_bytes()].concat()),
        ProxyProfile::Gcp => (GCP, u64::from(marker).to_be_bytes().to_vec()),
        ProxyProfile::Azure => (AZURE, [&[1], &marker.to_le_bytes()[..]].concat()),
    };
    let mut bytes = field(kind, &value);
    let rest = TLVS_LEN - bytes.len();
    if rest > 0 {
        bytes.extend(field(NOOP, &vec![0; rest - HEAD]));
    }
    let (words, _) = bytes.as_chunks::<4>();
    Tlvs(core::array::from_fn(|i| u32::from_ne_bytes(words[i])))
}

fn field(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("a value fits into the fields");
    [&[kind], &length.to_be_bytes()[..], value].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits fields as a receiver does.
    fn read(tlvs: Tlvs) -> Vec<(u8, Vec<u8>)> {
        let bytes: Vec<u8> = tlvs.0.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut rest = bytes.as_slice();
        let mut fields = Vec::new();
        while let [kind, high, low, tail @ ..] = rest {
            let (value, next) = tail.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            fields.push((*kind, value.to_vec()));
            rest = next;
        }
        assert_eq!(rest, [0_u8; 0], "bytes behind the last field");
        fields
    }

    #[test]
    fn every_profile_names_the_endpoint_in_its_form_and_fills_the_rest() {
        let id: EndpointId = "01234567-89ab-cdef-0123-456789abcdef".parse().unwrap();
        let marker = 0x0102_0304;
        let aws = b"\x0101234567-89ab-cdef-0123-456789abcdef".to_vec();
        for (profile, kind, value, filled) in [
            (ProxyProfile::Own, 0xe5, vec![1, 1, 2, 3, 4], Some(29)),
            (ProxyProfile::Aws, 0xea, aws, None),
            (ProxyProfile::Gcp, 0xe0, vec![0, 0, 0, 0, 1, 2, 3, 4], Some(26)),
            (ProxyProfile::Azure, 0xee, vec![1, 4, 3, 2, 1], Some(29)),
        ] {
            let noop = filled.map(|len| (NOOP, vec![0; len]));
            let expected: Vec<_> = std::iter::once((kind, value)).chain(noop).collect();
            assert_eq!(read(fields(profile, marker, id)), expected, "{profile:?}");
        }
    }
}
