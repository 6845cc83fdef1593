//! Any calls in any order, by two accounts and the operator: the server does what
//! the rules of the product say, and shows it.
//!
//! [`steps`] makes up stories, [`model`] says how they should go, [`play`] tells
//! them to both and compares what can be seen ([`view`]). A story that goes
//! otherwise is cut down to the steps that matter before it is shown.

mod look;
mod model;
mod play;
mod requests;
mod steps;
mod tags;
mod view;

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use steps::stories;

/// Steps of the longest story after its opening; the mean is half of it.
const LONGEST: usize = 70;
/// Stories that are told, unless `PROPTEST_CASES` says how many.
const STORIES: u32 = 12;

#[test]
fn whatever_is_called_in_whatever_order_the_rules_hold() {
    let cases = std::env::var("PROPTEST_CASES").map_or(STORIES, |count| count.parse().unwrap());
    let config = Config { cases, failure_persistence: None, max_shrink_time: 120_000, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let told = TestRunner::new(config).run(&stories(LONGEST), |story| {
        runtime.block_on(play::play(&story)).map_err(|error| TestCaseError::fail(format!("{error:#}")))
    });
    match told {
        Ok(()) => {}
        Err(TestError::Abort(why)) => panic!("no story could be told: {why}"),
        Err(TestError::Fail(why, story)) => {
            let lines: Vec<_> =
                story.iter().enumerate().map(|(n, step)| format!("{}. {step:?}", n + 1)).collect();
            panic!("{why}\n{}", lines.join("\n"));
        }
    }
}
