use vpcep_common::event::End;

use super::*;
use crate::audit::Retention;
use crate::datapath::events::Flow;
use crate::datapath::fake::FakeDatapath;
use crate::datapath::{DatapathKind, DatapathSettings, EventSettings, Timeouts};
use crate::store::EmbeddedStore;

/// Events over a controller that knows no object, and a data plane that is told what
/// happens.
struct World {
    dir: tempfile::TempDir,
    controller: Arc<Controller>,
    datapath: Arc<FakeDatapath>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(dir.path()).unwrap();
        let controller = Controller::load(Arc::new(store), "eu".parse().unwrap(), None).unwrap();
        let datapath = FakeDatapath::new(&DatapathSettings {
            owner: 0,
            kind: DatapathKind::None,
            snat_range: "198.19.128.0/26".parse().unwrap(),
            max_endpoints: 16,
            max_sessions: 16,
            bpffs: "/nonexistent".into(),
            no_echo: false,
            icmp_errors: 1_000,
            events: EventSettings::default(),
            timeouts: Timeouts::default(),
        });
        Self { dir, controller: Arc::new(controller), datapath: Arc::new(datapath) }
    }

    fn events(&self, flow_log: Option<FlowLog>) -> Events {
        Events::new(Arc::clone(&self.controller), self.datapath.clone(), true, flow_log).unwrap()
    }

    fn flow_log(&self) -> FlowLog {
        let retention = Retention { max_bytes: 1 << 20, files: 1 };
        FlowLog::open(&self.dir.path().join("flow.log"), retention).unwrap()
    }

    fn logged(&self) -> Vec<Record> {
        let text = std::fs::read_to_string(self.dir.path().join("flow.log")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn flow() -> Flow {
    Flow {
        client: "10.0.0.182:50000".parse().unwrap(),
        destination: "10.0.0.100:80".parse().unwrap(),
        source: "198.19.128.0:40000".parse().unwrap(),
        backend: "192.168.24.10:8080".parse().unwrap(),
        vpc: 1,
        provider_vpc: 2,
    }
}

fn opened(endpoint: u128) -> Happening {
    Happening {
        time: Timestamp::now(),
        endpoint: Some(EndpointId::from_u128(endpoint)),
        protocol: 6,
        what: What::Opened(flow()),
    }
}

fn closed(end: End) -> Happening {
    let what = What::Closed {
        flow: flow(),
        end,
        ended_at: Timestamp::now(),
        duration_secs: 1,
        bytes_out: None,
        bytes_in: None,
    };
    Happening { what, ..opened(1) }
}

fn listen(events: &Events, filter: Filter) -> Lines {
    events.listen(filter, None, Box::new(|_| true)).unwrap()
}

/// What a listener has been given so far.
fn heard(lines: &mut Lines) -> Vec<Record> {
    std::iter::from_fn(|| lines.try_recv().ok()).map(|line| serde_json::from_slice(&line).unwrap()).collect()
}

fn kinds(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.event.as_str()).collect()
}

#[test]
fn nothing_is_reported_unless_somebody_wants_to_know() {
    let world = World::new();
    let events = world.events(None);
    assert!(!world.datapath.reports_events());
    let lines = listen(&events, Filter::everything());
    assert!(world.datapath.reports_events(), "at once: nothing that comes now is missed");
    events.turn();
    assert!(world.datapath.reports_events());
    drop(lines);
    events.turn();
    assert!(!world.datapath.reports_events());
    drop(world.events(Some(world.flow_log())));
    assert!(world.datapath.reports_events(), "a flow log wants to know, and finds out at the next start");
    world.events(None);
    assert!(!world.datapath.reports_events(), "without a flow log nobody is left of an earlier run");
}

#[test]
fn whoever_comes_first_does_not_hear_what_was_left_for_others() {
    let world = World::new();
    let earlier = world.events(Some(world.flow_log()));
    world.datapath.happen(opened(1));
    world.datapath.withhold(Kind::Opened, Unreported { held_back: 5, lost: 0 });
    drop(earlier);
    let events = world.events(None);
    let mut lines = listen(&events, Filter::everything());
    events.turn();
    assert_eq!(heard(&mut lines), []);
    world.datapath.happen(closed(End::Idle));
    events.turn();
    assert_eq!(kinds(&heard(&mut lines)), ["closed"]);
}

#[test]
fn each_listener_gets_what_it_asked_for_and_the_flow_log_everything() {
    let world = World::new();
    let events = world.events(Some(world.flow_log()));
    let only = |change: fn(&mut Filter)| {
        let mut filter = Filter::everything();
        change(&mut filter);
        filter
    };
    let cases: [(&str, Filter, &[&str]); 6] = [
        ("everything", Filter::everything(), &["opened", "closed", "opened", "closed"]),
        ("a kind", only(|filter| filter.kinds = [EventKind::Closed].into()), &["closed", "closed"]),
        ("a reason", only(|filter| filter.reason = Some("idle".into())), &["closed"]),
        ("an endpoint", only(|filter| filter.endpoint = Some(EndpointId::from_u128(2))), &["opened"]),
        ("a service that has none", only(|filter| filter.service = Some(ServiceId::from_u128(9))), &[]),
        ("a project", only(|filter| filter.scope = Scope::Project(ProjectId::OPERATOR)), &[]),
    ];
    let mut listeners: Vec<_> =
        cases.into_iter().map(|(name, filter, want)| (name, listen(&events, filter), want)).collect();
    for happening in [opened(1), closed(End::Idle), opened(2), closed(End::Closed)] {
        world.datapath.happen(happening);
    }
    assert!(!events.turn(), "that was all");
    for (name, lines, want) in &mut listeners {
        assert_eq!(kinds(&heard(lines)), *want, "{name}");
    }
    assert_eq!(kinds(&world.logged()), ["opened", "closed", "opened", "closed"]);
}

#[test]
fn what_was_not_reported_is_said_once_to_whoever_may_miss_it() {
    let world = World::new();
    let events = world.events(Some(world.flow_log()));
    let mut refusals = listen(&events, Filter { kinds: [EventKind::Refused].into(), ..Filter::everything() });
    let mut openings = listen(&events, Filter { kinds: [EventKind::Opened].into(), ..Filter::everything() });
    world.datapath.withhold(Kind::Refused, Unreported { held_back: 5, lost: 0 });
    events.turn();
    events.turn();
    world.datapath.withhold(Kind::Refused, Unreported { held_back: 7, lost: 3 });
    events.turn();
    let gaps = |records: Vec<Record>| -> Vec<_> {
        records
            .into_iter()
            .map(|record| (record.kind.unwrap(), record.reason.unwrap(), record.count.unwrap()))
            .collect()
    };
    let expected = [("rate", 5), ("rate", 2), ("ring_full", 3)];
    let expected = expected.map(|(reason, count)| (EventKind::Refused, reason.to_owned(), count));
    assert_eq!(gaps(heard(&mut refusals)), expected);
    assert_eq!(gaps(world.logged()), expected);
    assert_eq!(heard(&mut openings), []);
}

#[test]
fn a_slow_listener_loses_events_alone_and_is_told_how_many() {
    let world = World::new();
    let events = world.events(None);
    let mut slow = listen(&events, Filter::everything());
    let mut quick = listen(&events, Filter::everything());
    let mut quickly_heard = 0;
    for _ in 0..3 {
        for _ in 0..QUEUE / 2 {
            world.datapath.happen(opened(1));
        }
        events.turn();
        quickly_heard += heard(&mut quick).len();
    }
    assert_eq!(quickly_heard, 3 * (QUEUE / 2));
    assert_eq!(heard(&mut slow).len(), QUEUE);
    world.datapath.happen(opened(1));
    events.turn();
    let records = heard(&mut slow);
    assert_eq!(kinds(&records), ["unreported", "opened"]);
    assert_eq!(
        (records[0].reason.as_deref(), records[0].count),
        (Some("slow_reader"), Some(QUEUE as u64 / 2))
    );
}

#[test]
fn whoever_is_not_welcome_any_more_hears_the_end() {
    let world = World::new();
    let events = world.events(None);
    let mut lines = events.listen(Filter::everything(), None, Box::new(|_| false)).unwrap();
    world.datapath.happen(opened(1));
    events.turn();
    assert_eq!(lines.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
}

#[test]
fn projects_have_so_many_listeners_and_the_operator_has_more() {
    let world = World::new();
    let events = world.events(None);
    let of = |project| events.listen(Filter::everything(), Some(project), Box::new(|_| true));
    let mut open = Vec::new();
    for number in 0..(MAX_OF_PROJECTS / MAX_OF_PROJECT) as u128 {
        for _ in 0..MAX_OF_PROJECT {
            open.push(of(ProjectId::from_u128(number)).unwrap());
        }
        assert!(matches!(of(ProjectId::from_u128(number)), Err(ListenError::TooMany)), "project {number}");
    }
    assert!(matches!(of(ProjectId::from_u128(999)), Err(ListenError::TooMany)), "a new project");
    open.push(listen(&events, Filter::everything()));
    open.clear();
    assert!(of(ProjectId::from_u128(0)).is_ok(), "those who have gone make room");
}

#[test]
fn what_is_off_cannot_be_listened_to() {
    let world = World::new();
    let events = Events::new(Arc::clone(&world.controller), world.datapath.clone(), false, None).unwrap();
    let refused = events.listen(Filter::everything(), None, Box::new(|_| true));
    assert!(matches!(refused, Err(ListenError::Off)));
    assert!(!world.datapath.reports_events());
}

#[tokio::test]
async fn the_end_of_vpcepd_is_the_end_of_every_stream_after_a_last_look() {
    let world = World::new();
    let events = Arc::new(world.events(Some(world.flow_log())));
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(run(Arc::clone(&events), stopped));
    let mut lines = listen(&events, Filter::everything());
    world.datapath.happen(opened(1));
    stop.send(true).unwrap();
    task.await.unwrap();
    assert_eq!(kinds(&heard(&mut lines)), ["opened"]);
    assert_eq!(lines.recv().await, None);
    assert_eq!(kinds(&world.logged()), ["opened"]);
    let mut late = listen(&events, Filter::everything());
    assert_eq!(late.recv().await, None, "whoever comes now hears the end at once");
}
