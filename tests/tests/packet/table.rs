//! What a row of a packet table is, and how it is checked.

use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::NO_ENDPOINT;
use vpcep_common::tcp::flags::{ACK, FIN, RST, SYN};
use vpcep_tests::packet::{PSH, Segment};

use crate::icmp_errors::{Error, told_by};
use crate::runner::{Capacity, Gateway, Hook, Outcome, Verdict, missing_privilege};
use crate::stage::{self, CLIENT, CONSUMER, ENDPOINT, Link, PROVIDER};

type Before = Box<dyn Fn(&mut Gateway, Hook)>;
type Out = Box<dyn Fn(&Gateway) -> Vec<u8>>;
type After = Box<dyn Fn(&Gateway)>;

/// One row: maps before, packet in; verdict, packet out, counters and maps after.
pub struct Case {
    name: String,
    from: Link,
    frame: Vec<u8>,
    hooks: Vec<Hook>,
    capacity: Capacity,
    before: Before,
    verdict: Verdict,
    out: Option<Out>,
    drops: Vec<(u32, &'static str, u64)>,
    after: After,
}

impl Case {
    /// A frame that comes in on a link and is, so far, expected to pass to the
    /// stack unchanged and uncounted.
    pub fn new(name: impl Into<String>, from: Link, frame: Vec<u8>) -> Self {
        Self {
            name: name.into(),
            from,
            frame,
            hooks: Hook::BOTH.to_vec(),
            capacity: Capacity::default(),
            before: Box::new(|_, _| {}),
            verdict: Verdict::Pass,
            out: None,
            drops: Vec::new(),
            after: Box::new(|_| {}),
        }
    }

    /// A segment of the client.
    pub fn client(name: impl Into<String>, segment: &Segment) -> Self {
        Self::new(name, CONSUMER, segment.build())
    }

    /// A segment of the backend to the source port of [`established`]'s session.
    pub fn backend(name: impl Into<String>, segment: &Segment) -> Self {
        Self::new(name, PROVIDER, segment.build())
    }

    /// The same under another name.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Runs at one hook only.
    pub fn only(mut self, hook: Hook) -> Self {
        self.hooks = vec![hook];
        self
    }

    /// Loads with these map sizes.
    pub fn capacity(mut self, capacity: Capacity) -> Self {
        self.capacity = capacity;
        self
    }

    /// What is done to the stage first.
    pub fn before(mut self, before: impl Fn(&mut Gateway, Hook) + 'static) -> Self {
        self.before = Box::new(before);
        self
    }

    /// Expects a redirect, with this frame.
    pub fn sent(mut self, frame: impl Fn(&Gateway) -> Vec<u8> + 'static) -> Self {
        self.verdict = Verdict::Redirect;
        self.out = Some(Box::new(frame));
        self
    }

    /// Expects a silent drop, counted once for the endpoint.
    pub fn dropped(self, reason: DropReason) -> Self {
        self.vanishes().counts(ENDPOINT, reason)
    }

    /// Expects a silent drop, counted once for no endpoint.
    pub fn dropped_unattributed(self, reason: DropReason) -> Self {
        self.vanishes().counts(NO_ENDPOINT, reason)
    }

    /// Expects a drop that nobody needs to know of.
    pub fn vanishes(mut self) -> Self {
        self.verdict = Verdict::Drop;
        self
    }

    /// Expects the sender to get this ICMP error, and a drop counted once for
    /// the endpoint.
    pub fn told(self, error: Error, reason: DropReason) -> Self {
        let told = told_by(&self.from, error, &self.frame);
        self.sent(move |_| told.clone()).counts(ENDPOINT, reason)
    }

    /// Expects the sender to get this segment back, and a drop counted once for
    /// the endpoint.
    pub fn answered(self, reply: Segment, reason: DropReason) -> Self {
        self.sent(move |_| reply.build()).counts(ENDPOINT, reason)
    }

    /// Expects one more drop counted.
    pub fn counts(mut self, endpoint: u32, reason: DropReason) -> Self {
        self.drops.push((endpoint, reason.name(), 1));
        self
    }

    /// What must hold of the maps afterwards.
    pub fn after(mut self, after: impl Fn(&Gateway) + 'static) -> Self {
        self.after = Box::new(after);
        self
    }

    fn check(&self) {
        for hook in self.hooks.iter().copied() {
            let label = format!("{} [{hook:?}]", self.name);
            let mut gateway = stage::gateway(&[hook], self.capacity).unwrap();
            (self.before)(&mut gateway, hook);
            let counted_before = gateway.drops();
            assert_eq!(counted_before, [], "{label}: drops while setting up");
            let outcome = gateway.run(hook, self.from.ifindex, &self.frame);
            let expected = self.out.as_ref().map_or_else(|| self.frame.clone(), |out| out(&gateway));
            assert_eq!(outcome.verdict, self.verdict, "{label}: verdict, drops {:?}", gateway.drops());
            if self.verdict != Verdict::Drop {
                assert_same_frame(&outcome.frame, &expected, &label);
            }
            assert_eq!(gateway.drops(), self.drops, "{label}: drops");
            (self.after)(&gateway);
        }
    }
}

/// Compares field by field where both are TCP with right checksums, which a
/// person can read, and byte by byte in any case.
pub fn assert_same_frame(got: &[u8], expected: &[u8], label: &str) {
    if let (Some(got), Some(expected)) = (Segment::parse(got), Segment::parse(expected)) {
        assert_eq!(got, expected, "{label}: segment out");
    }
    assert_eq!(got, expected, "{label}: frame out");
}

/// Checks a table.
pub fn check(cases: impl IntoIterator<Item = Case>) {
    if is_skipped() {
        return;
    }
    for case in cases {
        case.check();
    }
}

/// Runs a story that is no single packet, once per hook, each on a fresh stage.
pub fn on_each_hook(story: impl Fn(&mut Gateway, Hook)) {
    if is_skipped() {
        return;
    }
    for hook in Hook::BOTH {
        story(&mut stage::gateway(&[hook], Capacity::default()).unwrap(), hook);
    }
}

/// Says loudly that a test does not run, and why.
pub fn is_skipped() -> bool {
    let missing = missing_privilege();
    if let Some(missing) = missing {
        let test = std::thread::current();
        eprintln!("SKIPPED {}: needs {missing}", test.name().unwrap_or("test"));
    }
    missing.is_some()
}

/// A client's SYN, with the options that Linux sends.
pub fn syn() -> Segment {
    Segment {
        options: vec![2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7],
        ..stage::from_client(CLIENT, SYN)
    }
}

/// A segment with data, of the client.
pub fn client_data() -> Segment {
    Segment { acknowledgement: 7, payload: b"GET /".to_vec(), ..stage::from_client(CLIENT, ACK | PSH) }
}

/// A segment with data, of the backend to a source port.
pub fn backend_data(source_port: u16) -> Segment {
    Segment {
        sequence: 0x2000_0000,
        acknowledgement: 9,
        payload: b"200".to_vec(),
        ..stage::from_backend(source_port, ACK | PSH)
    }
}

/// The reset that refuses a segment of the client (RFC 9293 section 3.5.2).
pub fn refusal_of(segment: &Segment) -> Segment {
    let control = u32::from(segment.flags & SYN != 0) + u32::from(segment.flags & FIN != 0);
    let end = segment.sequence.wrapping_add(segment.payload.len() as u32).wrapping_add(control);
    let (sequence, acknowledgement, flags) =
        if segment.flags & ACK != 0 { (segment.acknowledgement, 0, RST) } else { (0, end, RST | ACK) };
    Segment {
        to: segment.from,
        from: segment.to,
        source: segment.destination,
        destination: segment.source,
        id: 0,
        ttl: 64,
        sequence,
        acknowledgement,
        window: 0,
        ..Segment::new(segment.destination, segment.source, flags)
    }
}

/// The reset that a segment of a session cut off becomes: as its sender's own,
/// given what the segment would have been translated to.
pub fn reset_onward(translated: &Segment) -> Segment {
    Segment {
        tos: 0,
        id: 0,
        ttl: 64,
        ip_options: Vec::new(),
        flags: RST | (translated.flags & ACK),
        window: 0,
        options: Vec::new(),
        payload: Vec::new(),
        ..translated.clone()
    }
}

/// Sends a segment of the client and expects it at the backend; returns the
/// source port it was given.
pub fn client_sends(gateway: &Gateway, hook: Hook, segment: &Segment) -> u16 {
    let outcome = gateway.run(hook, CONSUMER.ifindex, &segment.build());
    let source_port = gateway.source_port(segment.source).expect("the client has a session");
    expect_segment(&outcome, &stage::to_backend(segment, source_port), "towards the backend");
    source_port
}

/// Sends a segment of the backend and expects it at the client.
pub fn backend_sends(gateway: &Gateway, hook: Hook, segment: &Segment) {
    let outcome = gateway.run(hook, PROVIDER.ifindex, &segment.build());
    expect_segment(&outcome, &stage::to_client(segment, CLIENT), "towards the client");
}

fn expect_segment(outcome: &Outcome, expected: &Segment, label: &str) {
    assert_eq!(outcome.verdict, Verdict::Redirect, "{label}");
    assert_same_frame(&outcome.frame, &expected.build(), label);
}

/// Opens the client's session by its handshake; returns the source port.
pub fn established(gateway: &Gateway, hook: Hook) -> u16 {
    let source_port = client_sends(gateway, hook, &syn());
    backend_sends(gateway, hook, &stage::from_backend(source_port, SYN | ACK));
    client_sends(gateway, hook, &stage::from_client(CLIENT, ACK));
    source_port
}

/// The source port that the client's session gets on a fresh stage: the keyed
/// hash has a fixed key here.
pub fn first_source_port() -> u16 {
    use vpcep_common::snat::{Probe, RANGE, Shard};
    let shard = Shard { base: RANGE, mask: 0 };
    Probe::new(stage::HASH_KEY, &stage::flow(CLIENT), shard).slot(0) as u16
}
