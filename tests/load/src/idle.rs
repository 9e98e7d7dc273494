//! An idle process: memory, and the time from its start to ready.

use std::time::Duration;

use tbx_it::Setup;

use crate::report::Report;
use crate::runtime;

const RUNS: usize = 7;

pub(crate) fn run(report: &mut Report) {
    let (mut ready, mut resident) = (Vec::new(), Vec::new());
    runtime().block_on(async {
        let setup = Setup::new();
        let seeded = setup.command(&["seed", "--count", "1000"]).status().await.unwrap();
        assert!(seeded.success());
        // The first start works off the events of the seed; an existing database is one at rest.
        let first = setup.start().await;
        tbx_it::eventually("the seed is worked off", || async {
            let last = first.api().get("/api/students/1000").await.map_err(|error| error.to_string())?.json();
            if last["updates"] == 1 { Ok(()) } else { Err(last.to_string()) }
        })
        .await;
        first.terminate().await;
        first.ended().await;
        for _ in 0..RUNS {
            let tbx = setup.spawn();
            tbx.listening().await;
            ready.push(tbx.ready().await.as_secs_f64() * 1e3);
            tokio::time::sleep(Duration::from_secs(2)).await;
            resident.push(resident_mib(tbx.id()));
            tbx.terminate().await;
            tbx.ended().await;
        }
    });
    report.at_most("start to ready, existing database", "ms", 300.0, ready);
    report.at_most("idle, resident", "MiB", 40.0, resident);
}

pub(crate) fn resident_mib(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
