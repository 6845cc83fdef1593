extern crate std;

use std::vec::Vec;

use super::*;

fn members(weights: &[u8]) -> Vec<Share> {
    let member = |(i, weight): (usize, &u8)| Share {
        backend: i as u16 + 1,
        weight: *weight,
        name: 0x0a00_0000_0000 + (i as u64) * 0x1_0000 + 80,
    };
    weights.iter().enumerate().map(member).collect()
}

fn positions(ring: &Ring, backend: u16) -> usize {
    ring.backends[..ring.len as usize].iter().filter(|b| **b == backend).count()
}

/// Positions whose backend is another one.
fn moved(before: &Ring, after: &Ring) -> usize {
    assert_eq!(before.len, after.len);
    let pairs = before.backends.iter().zip(&after.backends).take(before.len as usize);
    pairs.filter(|(before, after)| before != after).count()
}

#[test]
fn a_round_has_each_member_as_often_as_its_weight_says() {
    for (weights, round) in [
        (&[1][..], &[1][..]),
        (&[1, 1], &[1, 2]),
        (&[7, 7], &[1, 2]),
        (&[5, 1, 1], &[1, 1, 2, 1, 3, 1, 1]),
        (&[0, 1], &[1, 2]),
    ] {
        let ring = Ring::round_robin([7; 16], &members(weights));
        assert_eq!(ring.backends[..round.len()], *round, "{weights:?}");
        assert_eq!(ring.len as usize % round.len(), 0, "{weights:?}: whole rounds");
        assert!(ring.backends.iter().zip(ring.backends[round.len()..].iter()).all(|(a, b)| a == b));
    }
    assert_eq!(Ring::round_robin([0; 16], &[]), Ring::default());
}

#[test]
fn every_member_gets_its_share_of_either_ring_and_at_least_one_position() {
    let uneven: Vec<u8> = (0..MAX_MEMBERS as u8).map(|i| if i == 5 { 1 } else { 100 }).collect();
    let ascending: Vec<u8> = (1..=MAX_MEMBERS as u8).collect();
    for weights in [&[1, 1, 1][..], &[3, 1], &[100, 1], &[1; MAX_MEMBERS], &uneven, &ascending] {
        let total: usize = weights.iter().map(|weight| usize::from(*weight)).sum();
        let members = members(weights);
        for ring in [Ring::round_robin([1; 16], &members), Ring::source_hash([1; 16], &members)] {
            assert!(!ring.backends.contains(&0), "every position leads somewhere");
            for member in &members {
                let share = ring.len as usize * usize::from(member.weight) / total;
                let got = positions(&ring, member.backend);
                let slack = 2 + share / 20;
                assert!(
                    got >= 1 && got.abs_diff(share) <= slack,
                    "{got} for a share of {share}, {weights:?}"
                );
            }
        }
    }
}

/// The share that a member gains or loses has to move; what moves beside it is
/// what the paper calls disruption.
#[test]
fn a_member_added_or_removed_moves_little_more_than_its_share() {
    const SLACK: usize = SOURCE_HASH_SIZE * 5 / 100;
    for weights in [&[1, 1, 1][..], &[1; 10], &[1; 64], &[3, 1, 1, 3, 2], &[100, 1, 50]] {
        let all = members(weights);
        let whole = Ring::source_hash([1; 16], &all);
        for left_out in 0..all.len() {
            let mut others = all.clone();
            let gone = others.remove(left_out);
            let without = Ring::source_hash([1; 16], &others);
            let share = positions(&whole, gone.backend);
            let moved = moved(&whole, &without);
            assert!(
                moved >= share && moved <= share + SLACK,
                "{moved} positions moved for a share of {share}, member {left_out} of {weights:?}"
            );
        }
    }
}

#[test]
fn a_hash_goes_by_the_names_of_members_and_not_by_their_numbers() {
    let listed = members(&[1, 2, 1, 1]);
    let renumbered: Vec<Share> = listed.iter().map(|m| Share { backend: m.backend + 100, ..*m }).collect();
    let (before, after) = (Ring::source_hash([1; 16], &listed), Ring::source_hash([1; 16], &renumbered));
    assert!(before.backends.iter().zip(&after.backends).all(|(a, b)| a + 100 == *b));
}
