//! Work is cut by time: systems reset a GPU that does not answer, and who cancels does not want to wait.

use std::time::{Duration, Instant};

use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::gpu::{Probe, Recorder};
use wan_animate::unversioned::ops::attention::{Heads, attention};
use wan_animate::{Cancel, Device, Error, Result};

/// Attention among so many tokens: one dispatch that takes seconds on a software adapter.
fn heavy(rec: &mut Recorder, tokens: usize) -> Result<()> {
    let x = rec.upload(&[tokens, 64], &vec![0.1; tokens * 64])?;
    attention(rec, &x, &x, &x, Heads::scaled(1, 64), DType::F32)?;
    rec.finish()
}

fn recorder(cancel: &Cancel) -> Recorder {
    let device = Device::builder().build().expect("an adapter (`make test` installs a software one)");
    Recorder::new(&device, cancel.clone()).with_probe(Probe { timed: true, ..Probe::default() })
}

/// Of three heavy ops the one with the shortest middle submission is looked at: on a busy machine any one may be late.
#[test]
fn submissions_are_short_once_the_rate_is_known() {
    let mut rec = recorder(&Cancel::new());
    (0..3).for_each(|_| heavy(&mut rec, 2048).expect("runs"));
    let runs = (0..3).map(|_| {
        let warm = rec.submissions().len();
        heavy(&mut rec, 9216).expect("runs");
        let mut times = rec.submissions()[warm..].to_vec();
        times.sort();
        times
    });
    let times = runs.min_by_key(|times| times[times.len() / 2]).expect("three runs");
    let (middle, longest) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{} submissions, the middle one {middle:?}, the longest {longest:?}", times.len());
    assert!(times.len() >= 3, "a heavy op is cut");
    assert!(middle <= Duration::from_millis(300), "the middle submission took {middle:?}");
    assert!(longest <= Duration::from_secs(2), "the longest submission took {longest:?}");
}

#[test]
fn cancelling_takes_about_one_submission() {
    let cancel = Cancel::new();
    let mut rec = recorder(&cancel);
    heavy(&mut rec, 2048).expect("runs");
    let flag = cancel.clone();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        flag.cancel();
        Instant::now()
    });
    // Longer than anybody would wait.
    let error = heavy(&mut rec, 1 << 14).expect_err("cancelled");
    let waited = Instant::now() - canceller.join().expect("no panic");
    assert!(matches!(error, Error::Cancelled), "{error}");
    let longest = rec.submissions().iter().max().copied().unwrap_or_default();
    println!("stopped {waited:?} after the flag was set; the longest submission took {longest:?}");
    assert!(waited <= 2 * longest + Duration::from_millis(100), "stopped {waited:?} after the flag was set");
}
