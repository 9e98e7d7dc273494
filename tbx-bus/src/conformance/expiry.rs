//! Expiry: what nobody uses any more goes.

use std::time::Duration;

use super::Harness;
use super::steps::*;
use crate::{Group, Reason, ReasonKind};

/// Longer than a test takes to begin with a group, and shorter than it waits.
const SHORT: Duration = Duration::from_secs(4);

fn passing(name: &str) -> Group {
    group(name, "pass.*").with_expiry(SHORT)
}

/// It is gone, so its name is free for another.
pub async fn a_group_that_nobody_uses_goes_after_its_expiry(harness: &dyn Harness) {
    declare(harness, &passing("passing")).await;
    gone(harness, "passing").await;
}

/// Somebody who only waits uses it too; and when it has gone, so has what waited in it.
pub async fn a_group_with_a_consumer_stays_with_its_letters(harness: &dyn Harness) {
    let used = passing("used");
    let mut deliveries = join(harness, &used).await;
    publish(harness, message("pass.by", "hopeless")).await;
    let reason = Reason::new(ReasonKind::Rejected, "no use");
    take(harness, &mut deliveries).await.dead_letter(reason, 1).await.expect("given up");
    letters(harness, "used", 1).await;
    // Several times as long, as those tell that expire meanwhile.
    for name in ["one", "another", "a-third"] {
        declare(harness, &passing(name)).await;
        gone(harness, name).await;
    }
    publish(harness, message("pass.by", "late")).await;
    assert_eq!(body(&*handle(harness, &mut deliveries).await), "late");
    letters(harness, "used", 1).await;

    drop(deliveries);
    declare(harness, &used).await;
    publish(harness, message("pass.by", "never read")).await;
    gone(harness, "used").await;
    nothing_comes(harness, &mut join(harness, &forever("used")).await).await;
}

/// A group does not change how long it stays.
pub async fn declaring_a_group_with_another_expiry_is_refused(harness: &dyn Harness) {
    let hour = group("hourly", "pass.*").with_expiry(Duration::from_secs(3600));
    declare(harness, &hour).await;
    declare(harness, &hour).await;
    refused(harness, &hour.clone().with_expiry(Duration::from_secs(7200))).await;
    refused(harness, &group("hourly", "pass.*")).await;
}

/// A bus that keeps its groups for ever says so, where it matters.
pub async fn a_group_with_an_expiry_is_refused(harness: &dyn Harness) {
    refused(harness, &passing("passing")).await;
}

/// Another of the same name, by which to know that the first is gone.
fn forever(name: &str) -> Group {
    group(name, "stay.*").with_expiry(Duration::from_secs(3600))
}

async fn gone(harness: &dyn Harness, name: &str) {
    let another = forever(name);
    eventually(harness, "expiring", || async {
        harness.subscriber().declare(&another).await.map_err(|error| error.kind())
    })
    .await;
}
