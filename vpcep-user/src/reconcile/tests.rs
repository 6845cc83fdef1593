//! When passes happen.

use super::*;
use crate::controller::{Scope, networks};
use crate::datapath::fake::FakeDatapath;
use crate::datapath::{DatapathKind, DatapathSettings, EventSettings, Timeouts};
use crate::model::{Cidr, Description};
use crate::store::EmbeddedStore;

struct Loop {
    controller: Arc<Controller>,
    datapath: Arc<FakeDatapath>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

fn start() -> Loop {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(EmbeddedStore::open(dir.path()).unwrap());
    let controller = Arc::new(Controller::load(store, "r".parse().unwrap(), None).unwrap());
    let datapath = Arc::new(FakeDatapath::new(&DatapathSettings {
        owner: 0,
        kind: DatapathKind::None,
        snat_range: Cidr::RESERVED,
        max_endpoints: 1,
        max_sessions: 1,
        bpffs: "/nonexistent".into(),
        no_echo: false,
        icmp_errors: 1_000,
        events: EventSettings::default(),
        timeouts: Timeouts::default(),
    }));
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(run(Arc::clone(&controller), datapath.clone(), stopped));
    Loop { controller, datapath, stop, task, _dir: dir }
}

fn make_vpc(controller: &Controller) -> u64 {
    let description = Description::default();
    let new = networks::NewVpc { name: None, cidr: "10.0.0.0/24".parse().unwrap(), description };
    controller.write(|tx| networks::create_vpc(tx, Scope::Every, new)).unwrap().version
}

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn every_commit_is_covered_and_nothing_else_makes_a_pass() {
    let bench = start();
    for _ in 0..5 {
        let version = make_vpc(&bench.controller);
        assert!(bench.controller.covered(version, SOON).await);
        assert_eq!(bench.datapath.desired().version, version);
    }
    let passes = bench.datapath.passes();
    assert!(passes <= 6, "{passes} passes for the start and five commits");
    bench.stop.send(true).unwrap();
    bench.task.await.unwrap();
}

#[tokio::test]
async fn a_data_plane_in_trouble_is_tried_again_until_it_is_back() {
    type Trouble = fn(&FakeDatapath, bool);
    let cases: [(&str, Trouble); 2] = [
        ("cannot make the data plane match the model: the data plane is lost", FakeDatapath::lose),
        ("the pass came to an unexpected end: task ", FakeDatapath::panic_in_passes),
    ];
    for (error, trouble) in cases {
        let bench = start();
        trouble(&bench.datapath, true);
        let version = make_vpc(&bench.controller);
        let failed = async {
            while bench.controller.passes().last_error.is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, failed).await.unwrap();
        assert!(!bench.controller.covered(version, Duration::ZERO).await, "{error}");
        let passes = bench.controller.passes();
        assert_eq!(passes.failures, 1, "{error}");
        assert!(passes.last_error.as_ref().unwrap().starts_with(error), "{passes:?}");
        trouble(&bench.datapath, false);
        assert!(bench.controller.covered(version, SOON).await, "{error}");
        let passes = bench.controller.passes();
        assert_eq!((passes.failures, passes.last_error), (0, None), "{error}");
        assert_eq!((passes.last_ok_at, passes.last_ok_at.is_some()), (passes.last_at, true));
    }
}

#[tokio::test]
async fn the_loop_ends_when_told_to_or_left_alone() {
    let told = start();
    told.stop.send(true).unwrap();
    told.task.await.unwrap();
    let left = start();
    drop(left.stop);
    left.task.await.unwrap();
}
